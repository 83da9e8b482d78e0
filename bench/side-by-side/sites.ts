/** Lays out what the contenders serve: a page each, bundled from what was built, with the runtime and the models. */
import { copyFile, mkdir, rm, stat, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { basename, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { build, type Metafile } from 'esbuild';
import type { ModelRecipe } from '../../compiler/recipe.ts';
import { planHeadPath } from '../../shared/protocol/paths.ts';
import { weightsIn8Bits } from './weights-in-8-bits.ts';

export interface Sites {
  /** Of the gateway. */
  readonly tandem: string;
  /** Of the plain server. */
  readonly plain: string;
  /** JavaScript of each page and its workers after gzip, without onnxruntime. */
  readonly scriptBytes: Readonly<Record<PageName, number>>;
}

export type PageName = 'tandem' | 'local' | 'upload';

export const FLOAT_FILE = 'float.onnx';
export const SMALL_FILE = 'eight-bits.onnx';
const WASM = 'ort-wasm-simd-threaded.wasm';

/** Before each script, workers' too: keeps what WebAssembly allocates where visit.ts finds it. Once, of the scripts of one page. */
const SEE_MEMORY =
  'if(!globalThis.wasmMemories){globalThis.wasmMemories=[];WebAssembly.Memory=new Proxy(WebAssembly.Memory,{construct(T,a){const m=new T(...a);wasmMemories.push(m);return m}})}';

/** @param root of the repository, which is built @param dir is emptied, but for the 8-bit model that was made before */
export async function laySites(root: string, dir: string, recipe: ModelRecipe): Promise<Sites> {
  const small = join(dir, SMALL_FILE);
  const [tandem, plain] = [join(dir, 'tandem'), join(dir, 'plain')];
  for (const site of [tandem, plain]) {
    await rm(site, { recursive: true, force: true });
    await mkdir(site, { recursive: true });
  }
  if (!(await stat(small).catch(() => null))) await writeFile(small, await weightsIn8Bits(recipe));
  const wasm = createRequire(import.meta.url).resolve(`onnxruntime-web/${WASM}`);
  for (const site of [tandem, plain]) await copyFile(wasm, join(site, WASM));
  await copyFile(recipe.file, join(plain, FLOAT_FILE));
  await copyFile(small, join(plain, SMALL_FILE));
  await copyFile(recipe.assets?.['charset'] as string, join(plain, 'charset.txt'));
  const page = (name: PageName) => join(root, `dist/bench/side-by-side/page-${name}.js`);
  const worker = join(root, 'dist/client/worker.js');
  const entries: Record<PageName, Record<string, string>[]> = {
    // The worker by itself: it shares no piece with the page, which needs its own sooner.
    tandem: [{ tandem: page('tandem') }, { worker }],
    local: [{ local: page('local') }],
    upload: [{ upload: page('upload') }],
  };
  const scriptBytes: Record<string, number> = {};
  for (const [name, bundles] of Object.entries(entries)) {
    const outdir = name === 'tandem' ? tandem : plain;
    const preloaded: string[] = [];
    scriptBytes[name] = 0;
    for (const entryPoints of bundles) {
      const options = { entryPoints, outdir, bundle: true, splitting: true, minify: true } as const;
      const form = { format: 'esm', target: 'es2022', logLevel: 'warning' } as const;
      const { metafile } = await build({ ...options, ...form, banner: { js: SEE_MEMORY }, metafile: true });
      if (name in entryPoints) preloaded.push(...importsOf(metafile, `${name}.js`));
      const { outputFiles } = await build({
        ...{ ...options, ...form, external: ['onnxruntime-web', 'onnxruntime-common'], write: false },
      });
      scriptBytes[name] += outputFiles.reduce((sum, { contents }) => sum + gzipSync(contents).byteLength, 0);
    }
    const hints = preloaded.map((file) => `<link rel="modulepreload" href="${file}">`);
    if (name === 'tandem')
      hints.push(`<link rel="preload" as="fetch" crossorigin href="${planHeadPath(recipe.name)}">`);
    await writeFile(join(outdir, `${name}.html`), pageOf(name, hints.join('')));
  }
  return { tandem, plain, scriptBytes: scriptBytes as Sites['scriptBytes'] };
}

/** Names of the scripts that a script needs or asks for as it begins, and of those that they need: the first scripts of its page. */
function importsOf({ outputs }: Metafile, script: string): string[] {
  const named = new Map(Object.entries(outputs).map(([path, output]) => [basename(path), output]));
  const found = new Set<string>();
  const visit = (name: string, kinds: readonly string[]) => {
    for (const { path, kind } of named.get(name)?.imports ?? []) {
      const other = basename(path);
      if (!kinds.includes(kind) || found.has(other)) continue;
      found.add(other);
      visit(other, kind === 'dynamic-import' ? ['import-statement'] : kinds);
    }
  };
  visit(script, ['import-statement', 'dynamic-import']);
  return [...found];
}

function pageOf(name: string, hints: string): string {
  return `<!doctype html><meta charset="utf-8"><title>${name}</title><meta name="viewport" content="width=device-width"><link rel="icon" href="data:,"><script type="module" src="${name}.js"></script>${hints}\n`;
}
