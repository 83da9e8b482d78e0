/**
 * Writes docs/api.md out of the docstrings of what the package exports: `npm run docs`. Reads the built declarations as text,
 * and knows as much of their grammar as they use.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));

const ENTRIES = [
  [
    'tandem/client',
    'client/browser.d.ts',
    'In browsers. In Node `connect` takes `ort`, an onnxruntime, in place of the host’s options.',
  ],
  ['tandem/client/portable', 'client/portable.d.ts', 'The rest is as above.'],
  ['tandem/service-worker', 'client/service-worker.d.ts', 'In a service worker.'],
  ['tandem/react', 'client/react.d.ts', 'For client components; does nothing on a server.'],
  ['tandem/opentelemetry', 'client/opentelemetry.d.ts', 'Needs `@opentelemetry/api`, which the app brings.'],
  ['tandem/testkit', 'client/testkit/index.d.ts', 'In Node, for the tests of apps.'],
];

/** @returns {{ doc: string, text: string }[]} statements or members, up to the `;` or `}` that ends each */
function split(source) {
  const parts = [];
  let [doc, start, depth] = ['', 0, 0];
  for (let at = 0; at < source.length; at++) {
    const isBlank = source.slice(start, at).trim() === '';
    if (source.startsWith('/*', at) || source.startsWith('//', at)) {
      const isBlock = source[at + 1] === '*';
      const end = source.indexOf(isBlock ? '*/' : '\n', at);
      if (isBlank) doc = isBlock ? source.slice(at, end + 2) : doc;
      at = end < 0 ? source.length : end + (isBlock ? 1 : 0);
      if (isBlank) start = at + 1;
      continue;
    }
    const character = source[at];
    if ('{(['.includes(character)) depth++;
    if ('})]'.includes(character)) depth--;
    const ends = depth === 0 && (character === ';' || (character === '}' && /^\s*(\n|$)/.test(source.slice(at + 1))));
    if (!ends) continue;
    const text = source
      .slice(start, at + 1)
      .replace(/\s+/g, ' ')
      .trim();
    // The `;` after the `}` of a type is no statement.
    if (text !== ';') parts.push({ doc: plain(doc), text, body: source.slice(start, at + 1) });
    [doc, start] = ['', at + 1];
  }
  return parts;
}

/** A docstring's sentences, tags as sentences of their own. */
function plain(doc) {
  return doc
    .replace(/^\/\*\*?|\*\/$/g, '')
    .replace(/^\s*\* ?/gm, '')
    .replace(/\s+/g, ' ')
    .replace(/ ?@param (\w+) /g, ' $1: ')
    .replace(/ ?@throws /g, ' Throws ')
    .replace(/ ?@returns /g, ' Gives ')
    .trim();
}

/** Everything that a file exports, by name, in the order in which it says so. */
async function exportsOf(file) {
  const found = new Map();
  for (const part of split(await readFile(file, 'utf8'))) {
    const from = /^export (?:type )?(\*|\{.*\}) from '(.+)';$/.exec(part.text);
    const declared = /^export (?:declare )?(?:abstract )?(interface|type|function|class|const) (\w+)/.exec(part.text);
    if (from) {
      const [, what, path] = from;
      const others = await exportsOf(resolve(dirname(file), path.replace(/\.ts$/, '.d.ts')));
      const names = what === '*' ? [...others.keys()] : what.match(/\w+(?=\s*[,}])/g);
      for (const name of names) if (!found.has(name)) found.set(name, others.get(name));
    } else if (declared) {
      found.set(declared[2], { ...part, kind: declared[1], name: declared[2], file });
    }
  }
  return found;
}

/** What a file calls `name`: its own, or what it imports. */
async function lookUp(file, name) {
  const own = (await exportsOf(file)).get(name);
  if (own) return own;
  const imports = (await readFile(file, 'utf8')).matchAll(/^import .*?\b(\w+)\b.*? from '(.+)\.ts';$/gm);
  for (const [text, , path] of imports) {
    if (new RegExp(`\\b${name}\\b`).test(text)) return lookUp(resolve(dirname(file), `${path}.d.ts`), name);
  }
  return undefined;
}

async function render(part) {
  const { kind, name, doc, text, file } = part;
  const heading = `### ${name}`;
  if (kind === 'interface' || kind === 'class') {
    const parents = parentsOf(text).filter((parent) => !inherited.has(parent));
    const members = await membersOf(part);
    return paragraphs(
      heading,
      doc,
      parents.length > 0 && `Also what ${parents.map((parent) => `\`${tidy(parent)}\``).join(' and ')} has.`,
      members.map(renderMember).join('\n'),
    );
  }
  // What a schema is written out as is of no use to a reader.
  if (/\bv\.Infer/.test(text)) {
    return paragraphs(
      heading,
      doc,
      `Its schema is in \`${relative(join(ROOT, 'dist'), file).replace('.d.ts', '.ts')}\`.`,
    );
  }
  const signature = tidy(text.replace(/^export (declare )?/, '').replace(/;$/, ''));
  return paragraphs(heading, `\`\`\`ts\n${signature}\n\`\`\``, doc);
}

/** Those of parents that are shown nowhere are among them. */
async function membersOf({ file, text, body }) {
  const own = split(body.slice(body.indexOf('{') + 1, -1)).filter(
    (member) => !/^(private|protected|constructor)\b/.test(member.text),
  );
  const from = [];
  for (const parent of parentsOf(text).filter((each) => inherited.has(each))) {
    from.push(...(await membersOf(await lookUp(file, parent))));
  }
  return [...from, ...own];
}

function parentsOf(text) {
  const list = /^[^{]*?\bextends ([^{]+?) (?:implements [^{]+)?\{/.exec(text)?.[1] ?? '';
  return list.split(/, (?![^<]*>)/).filter(Boolean);
}

function renderMember({ doc, text }) {
  return `- \`${tidy(text.replace(/;$/, ''))}\`${doc ? `: ${doc}` : ''}`;
}

function tidy(code) {
  return code
    .replace(/\breadonly (?=\w+(\??:| =)|\[)/g, '')
    .replace(/^get (\w+)\(\)/, '$1')
    .replace(/(\?: [^;{}]*?) \| undefined(?=$|;| \}|, )/g, '$1')
    .replace(/^(\w+\?: .*) \| undefined$/, '$1')
    .trim();
}

function paragraphs(...texts) {
  return texts.filter(Boolean).join('\n\n');
}

/** Interfaces that the package exports by way of what extends them alone. */
const inherited = new Set(['Choice']);
const shown = new Set();
const keyOf = ({ file, name }) => `${file} ${name}`;
const sections = [];
for (const [name, file, about] of ENTRIES) {
  const parts = [...(await exportsOf(join(ROOT, 'dist', file))).values()].filter((part) => !shown.has(keyOf(part)));
  for (const part of parts) shown.add(keyOf(part));
  // Functions first: they are what one looks for.
  const rank = ({ kind }) => (kind === 'function' ? 0 : 1);
  parts.sort((a, b) => rank(a) - rank(b));
  sections.push(paragraphs(`## ${name}`, about, ...(await Promise.all(parts.map(render)))));
}
const head = '# API\n\nWritten by `npm run docs` out of docstrings; how it is used is in [sdk.md](sdk.md).';
await writeFile(process.argv[2] ?? join(ROOT, 'docs/api.md'), `${[head, ...sections].join('\n\n')}\n`);
