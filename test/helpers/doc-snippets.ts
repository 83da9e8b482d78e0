/** Pieces of code out of a document of ours, made into modules that a test compiles and runs. */

export interface Snippet {
  readonly lang: string;
  readonly code: string;
  /** The heading that it stands under. */
  readonly heading: string;
}

/** Every fenced block that names its language, in order. */
export function snippetsOf(markdown: string): Snippet[] {
  let heading = '';
  const found: Snippet[] = [];
  for (const [, title, lang, code] of markdown.matchAll(/^## (.*)$|^```(\w+)\n([\s\S]*?)^```$/gm)) {
    if (title !== undefined) heading = title;
    else found.push({ lang: lang ?? '', code: code ?? '', heading });
  }
  return found;
}

/**
 * A module that runs a snippet whenever `run` is called, with what it takes for granted as arguments.
 * @param granted names, and the type of the object that holds them, which `from` exports
 */
export function runnable({ code }: Snippet, granted: readonly string[], type: string, from: string): string {
  const imports = code.match(/^import .*;$/gm) ?? [];
  const body = imports.reduce((rest, line) => rest.replace(line, ''), code);
  const taken = granted.filter((name) => !new RegExp(`\\b(const|let) ${name}\\b`).test(body));
  const client = taken.includes('client') ? '' : 'return client;\n';
  return [
    ...imports,
    `import type { ${type} } from '${from}';`,
    `export async function run({ ${taken.join(', ')} }: ${type}) {\n${body}${client}}\n`,
  ].join('\n');
}
