/** docs/sdk.md does what it says: all of its code is compiled as users compile it, and run. */
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build, transform } from 'esbuild';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { isErrorCode } from '../../shared/errors.ts';
import { launchChromium } from '../helpers/chromium.ts';
import { cleanLines } from '../helpers/clean-lines.ts';
import { runnable, type Snippet, snippetsOf } from '../helpers/doc-snippets.ts';
import { BUNDLE_DIR, run, type ServerProcess, startServer, tandem } from '../helpers/processes.ts';
import { type StaticServer, staticServer } from '../helpers/static-server.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
// Inside the package, where `tandem/client` means what it means to users.
const FOLDER = join(ROOT, 'dist/readme/sdk');
const CAMERA = ['--use-fake-device-for-media-stream', '--use-fake-ui-for-media-stream'];

const chromium = inject('chromium');
const [line] = cleanLines(1);

const markdown = await readFile(join(ROOT, 'docs/sdk.md'), 'utf8');
const snippets = snippetsOf(markdown);
const code = snippets.filter(({ lang }) => lang !== 'json');
const json = snippets.filter(({ lang }) => lang === 'json');
const isForNode = (snippet: Snippet) => snippet.code.includes("from 'node:");
const isComponent = (snippet: Snippet) => snippet.lang === 'tsx';
const forNode = code.filter(isForNode);
const components = code.filter(isComponent);
const forPage = code.filter((snippet) => !isForNode(snippet) && !isComponent(snippet));

/** What the page's snippets take for granted. */
const PAGE_TYPE = `import type { BrowserClient } from 'tandem/client';
export interface Page { client: BrowserClient; photo: File; show(text: string): void }
`;
/** Of @types/dom-mediacapture-transform. */
const CAMERA_TYPES = `declare class MediaStreamTrackProcessor {
  constructor(init: { track: MediaStreamTrack });
  readonly readable: ReadableStream<VideoFrame>;
}
`;

beforeAll(async () => {
  await rm(FOLDER, { recursive: true, force: true });
  await mkdir(FOLDER, { recursive: true });
  await write('page-type.ts', PAGE_TYPE);
  await write('camera.d.ts', CAMERA_TYPES);
  for (const [i, snippet] of forPage.entries()) {
    await write(`page-${i}.ts`, runnable(snippet, ['client', 'photo', 'show'], 'Page', './page-type.ts'));
  }
  for (const [i, snippet] of components.entries()) await write(`component-${i}.tsx`, snippet.code);
  for (const [i, snippet] of forNode.entries()) await write(`node-${i}.mts`, snippet.code);
});
afterAll(() => rm(FOLDER, { recursive: true, force: true }));

test('its code is all of languages that are compiled and run here', () => {
  expect(new Set(snippets.map(({ lang }) => lang))).toEqual(new Set(['ts', 'tsx', 'json']));
  expect(forPage.length + components.length + forNode.length).toBe(code.length);
});

test('its code for pages compiles against what the package exports', async () => {
  const files = [...forPage.map((_, i) => `page-${i}.ts`), ...components.map((_, i) => `component-${i}.tsx`)];
  const options = { module: 'esnext', moduleResolution: 'bundler', jsx: 'react-jsx', allowImportingTsExtensions: true };
  expect(await compiled({ ...options, types: [] }, ['camera.d.ts', ...files])).toBe('');
});

test('its code for Node compiles, and its tests pass', async () => {
  const files = forNode.map((_, i) => `node-${i}.mts`);
  expect(await compiled({ module: 'nodenext', moduleResolution: 'nodenext', types: ['node'] }, files)).toBe('');
  for (const file of files) {
    const script = file.replace('.mts', '.mjs');
    const source = await readFile(join(FOLDER, file), 'utf8');
    await write(script, (await transform(source, { loader: 'ts' })).code);
    const {
      code: exit,
      stdout,
      stderr,
    } = await run(process.execPath, ['--test', '--test-reporter=tap', script], FOLDER);
    expect({ exit, stderr }, stdout).toEqual({ exit: 0, stderr: '' });
    expect(stdout).toMatch(/^# pass 1$/m);
  }
});

test('its gateway starts, and lets the app in', async () => {
  const config = JSON.parse(json.find(({ heading }) => heading === 'Five lines')?.code ?? '') as { origins: string[] };
  const server = await startServer({ ...config, bundles: [BUNDLE_DIR] });
  const [origin = ''] = config.origins;
  const { headers } = await fetch(`${server.url}/welcome`, { headers: { Origin: origin } });
  await server.kill();
  expect(headers.get('Access-Control-Allow-Origin')).toBe(origin);
});

test('its table of errors has codes that there are, and those that `infer` rejects with', async () => {
  const table = markdown.slice(markdown.indexOf('| code |')).split('\n\n', 1)[0] ?? '';
  const codes = [...table.matchAll(/^\| (`.*?`) \|/gm)].flatMap(([, cell]) => (cell ?? '').match(/[A-Z_]+/g) ?? []);
  expect(codes.filter((each) => !isErrorCode(each))).toEqual([]);
  const types = await readFile(join(ROOT, 'client/types.ts'), 'utf8');
  const docstring = /Runs one request.*?\*\//s.exec(types)?.[0] ?? '';
  const documented = docstring.match(/\b[A-Z]+(_[A-Z]+)+\b|\b(UNAVAILABLE|CLOSED)\b/g) ?? [];
  expect(documented.length).toBeGreaterThan(6);
  expect(codes).toEqual(expect.arrayContaining(documented));
});

describe.skipIf(chromium.path === null)('its code for pages, in Chromium with a camera', () => {
  let site: StaticServer;
  let gateway: ServerProcess;
  let browser: Browser;
  let page: Page;
  beforeAll(async () => {
    site = await staticServer();
    gateway = await startServer({ origins: [site.origin] });
    await layOutPage(gateway.url);
    site.show(FOLDER);
    browser = await launchChromium(chromium.path ?? '', CAMERA);
    page = await browser.newPage();
    await page.goto(site.origin);
    await page.waitForFunction(() => 'runSnippet' in globalThis);
  });
  afterAll(async () => {
    await browser?.close();
    await gateway?.kill();
    await site?.close();
  });

  test('answers in five lines', async () => {
    expect(await shownBy('Five lines')).toEqual([expect.stringMatching(/^(indices|probabilities),\w+: k = \d as /)]);
  });

  test('answers soon', async () => {
    expect(await shownBy('A first answer soon')).toEqual([expect.stringMatching(/^k = 0 as webp-80: /)]);
  });

  // On a busy machine a reply may be late, and the device finishes.
  test('reads the line, and prints a route like the one that is shown', { retry: 2 }, async () => {
    const [text, route = ''] = await shownBy('What `infer` gives');
    expect(text).toBe(line?.text);
    const printed = json.find(({ heading }) => heading === 'What `infer` gives')?.code ?? '';
    expect(shapeOf(JSON.parse(printed))).toEqual(shapeOf(JSON.parse(route)));
  });

  test('tells of states and progress', async () => {
    const shown = await shownBy('States and progress');
    expect(shown[0]).toMatch(/^available: (\d+) of \1 bytes are here$/);
    expect(shown).toContain('open, downloading');
    expect(shown).toContain('open, available');
    const [, , total] =
      /^(\d+) of (\d+) bytes$/.exec(shown.filter((text) => text.endsWith('bytes')).at(-1) ?? '') ?? [];
    expect(shown).toContain(`${total} of ${total} bytes`);
    expect(shown.some((text) => /^k = \d for public$/.test(text))).toBe(true);
  });

  test('chooses', { retry: 2 }, async () => {
    const shown = await shownBy('Choosing');
    expect(shown[0]).toMatch(/^k = \d as \S+, \d+ ms$/);
    expect(shown).toContain('not k = 0: policy: personal may be sent from p2o.AveragePool.1 on');
    expect(shown.at(-2)).toBe('asked twice, run once: true');
    expect(shown.at(-1)).toBe('5,3,4');
  });

  test('weighs bytes against time', async () => {
    expect(await shownBy('What counts')).toEqual([expect.stringMatching(/^k = 5, the best of \d+: \d+$/)]);
  });

  test('answers what the camera sees', async () => {
    const shown = await shownBy('A camera');
    expect(shown).toHaveLength(3);
    for (const text of shown) expect(text).toMatch(/^k = [345], \d+ frames let go, \d+ ms$/);
  });

  test('answers what the camera sees where pictures are taken of a video', async () => {
    expect(await shownBy('A camera in Firefox and Safari')).toEqual([expect.stringMatching(/^k = [345], \d+ ms$/)]);
  });

  test('shows what a component has read', async () => {
    await page.evaluate(() => (globalThis as never as PageApi).mount());
    await page.waitForFunction(() => /^open, available: k = /.test(document.getElementById('root')?.textContent ?? ''));
  });

  test('says what went wrong', async () => {
    expect(await shownBy('Errors')).toEqual([
      expect.stringMatching(/^POLICY_DENIED: boundary 0 of ocr-line may not be sent/),
      expect.stringMatching(/^tandem-browser\S*, open, available, after \d+ requests$/),
    ]);
  });

  test('traces', async () => {
    const written = page.waitForEvent('console', (message) => message.type() === 'dir');
    const [shown = ''] = await shownBy('Traces');
    const [span] = (await written).args();
    const [, k] = /^k = (\d) for public$/.exec(shown) ?? [];
    expect(await span?.jsonValue()).toMatchObject({ name: 'tandem.infer', attributes: { 'tandem.k': Number(k) } });
  });

  test('works without a network, for a client that is there and for a new one', async () => {
    await gateway.kill();
    await page.context().setOffline(true);
    expect(await shownBy('Offline')).toEqual([
      expect.stringMatching(/^connecting: \w+,\w+ with 0 bytes sent, all on the device/),
    ]);
    // The page's own files come from its server: here it has no service worker that keeps them.
    await page.context().setOffline(false);
    expect(await shownBy('Five lines')).toEqual([expect.stringMatching(/: all on the device/)]);
  });

  test('and there is no more of it', () => {
    expect(forPage.map(({ heading }) => heading).sort()).toEqual([...ran].sort());
    expect(components).toHaveLength(1);
  });

  const ran = new Set<string>();

  /** What a snippet shows, by the heading that it stands under. */
  function shownBy(heading: string): Promise<string[]> {
    ran.add(heading);
    const index = forPage.findIndex((snippet) => snippet.heading === heading);
    return page.evaluate((i) => (globalThis as never as PageApi).runSnippet(i), index);
  }
});

interface PageApi {
  runSnippet(index: number): Promise<string[]>;
  mount(): void;
}

/** The page: every snippet in one script, with the real gateway's address in the place of the example's. */
async function layOutPage(gatewayUrl: string): Promise<void> {
  const names = forPage.map((_, i) => `page-${i}`);
  await write(
    'page.tsx',
    `${names.map((name, i) => `import { run as run${i} } from './${name}.ts';`).join('\n')}
import { createElement } from 'react';
import { createRoot } from 'react-dom/client';
import { Reader } from './component-0.tsx';
const response = await fetch('line.png');
const photo = new File([await response.blob()], 'line.png', { type: 'image/png' });
const page = { photo, client: undefined, show: undefined };
globalThis.runSnippet = async (index) => {
  const shown = [];
  page.show = (text) => shown.push(text);
  const runs = [${names.map((_, i) => `run${i}`).join(', ')}];
  page.client = (await runs[index](page)) ?? page.client;
  return shown;
};
globalThis.mount = () => createRoot(document.getElementById('root')).render(createElement(Reader, { photo }));
`,
  );
  for (const name of [...names.map((each) => `${each}.ts`), 'component-0.tsx']) {
    const source = await readFile(join(FOLDER, name), 'utf8');
    await write(name, source.replaceAll('https://gateway.example', gatewayUrl));
  }
  await build({
    entryPoints: [join(FOLDER, 'page.tsx')],
    outfile: join(FOLDER, 'page.js'),
    bundle: true,
    format: 'esm',
    target: 'es2022',
    jsx: 'automatic',
    define: { 'process.env.NODE_ENV': '"development"' },
    logLevel: 'warning',
  });
  await write('index.html', '<!doctype html><div id="root"></div><script type="module" src="page.js"></script>');
  await writeFile(join(FOLDER, 'line.png'), line?.png ?? '');
  // Beside the script is the worker, and beside the page the runtime for whoever names no address.
  for (const folder of [FOLDER, join(FOLDER, 'tandem')]) await tandem('copy-assets', folder);
}

/** What the compiler says. */
async function compiled(options: object, files: readonly string[]): Promise<string> {
  const lib = ['es2023', 'dom', 'dom.iterable', 'esnext.disposable'];
  // As strict as apps may be.
  const strict = { strict: true, exactOptionalPropertyTypes: true, noUncheckedIndexedAccess: true };
  const compilerOptions = { target: 'es2022', ...strict, noEmit: true, lib, ...options };
  await write('tsconfig.json', JSON.stringify({ compilerOptions, files }));
  return (await run(join(ROOT, 'node_modules/.bin/tsc'), ['-p', FOLDER])).stdout;
}

function write(name: string, content: string): Promise<void> {
  return writeFile(join(FOLDER, name), content);
}

/** Names and kinds without values. */
function shapeOf(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(shapeOf);
  if (typeof value !== 'object' || value === null) return value === null ? null : typeof value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, shapeOf(inner)]));
}
