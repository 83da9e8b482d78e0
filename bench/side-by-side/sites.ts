/** Lays out what the contenders serve: a page each, bundled as Vite does, with the runtime and the models. */
import { copyFile, mkdir, rm, stat, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { build, type Rolldown } from 'vite';
import type { ModelRecipe } from '../../compiler/recipe.ts';
import type { Plan, PlanFile } from '../../shared/plan.ts';
import { filePath, planHeadPath, WELCOME_PATH } from '../../shared/protocol/paths.ts';
import { weightsIn8Bits } from './weights-in-8-bits.ts';

export interface Sites {
  /** Of the gateway. */
  readonly tandem: string;
  /** Of the plain server. */
  readonly plain: string;
  /** JavaScript of each page and its workers after gzip, without onnxruntime. */
  readonly scriptBytes: Readonly<Record<PageName, number>>;
}

export type PageName = 'tandem' | 'local' | 'transformers' | 'upload';

export const FLOAT_FILE = 'float.onnx';
export const SMALL_FILE = 'eight-bits.onnx';
const WASM = 'ort-wasm-simd-threaded.wasm';
/** The engine that Transformers.js takes, of the same onnxruntime-web. */
const ENGINE = ['ort-wasm-simd-threaded.asyncify.wasm', 'ort-wasm-simd-threaded.asyncify.mjs'];

/** For pages that name providers: none here does. */
const UNUSED = /worker-accelerated|asyncify/;

/** Before each script, workers' too: keeps what WebAssembly allocates where visit.ts finds it. Once, of the scripts of one page. */
const SEE_MEMORY =
  'if(!globalThis.wasmMemories){globalThis.wasmMemories=[];WebAssembly.Memory=new Proxy(WebAssembly.Memory,{construct(T,a){const m=new T(...a);wasmMemories.push(m);return m}})}';

/** @param root of the repository, which is built @param dir is emptied, but for the 8-bit model that was made before */
export async function laySites(root: string, dir: string, recipe: ModelRecipe, plan: Plan): Promise<Sites> {
  const small = join(dir, SMALL_FILE);
  const [tandem, plain] = [join(dir, 'tandem'), join(dir, 'plain')];
  for (const site of [tandem, plain]) {
    await rm(site, { recursive: true, force: true });
    await mkdir(site, { recursive: true });
  }
  if (!(await stat(small).catch(() => null))) await writeFile(small, await weightsIn8Bits(recipe));
  const dist = dirname(createRequire(import.meta.url).resolve(`onnxruntime-web/${WASM}`));
  for (const file of [WASM, ...ENGINE]) await copyFile(join(dist, file), join(plain, file));
  await copyFile(recipe.file, join(plain, FLOAT_FILE));
  await copyFile(small, join(plain, SMALL_FILE));
  // Where Transformers.js looks for it.
  const folder = join(plain, 'ocr-line');
  await mkdir(join(folder, 'onnx'), { recursive: true });
  await writeFile(join(folder, 'config.json'), JSON.stringify({ model_type: 'custom' }));
  await copyFile(small, join(folder, 'onnx/model_quantized.onnx'));
  await copyFile(recipe.assets?.['charset'] as string, join(plain, 'charset.txt'));
  const scriptBytes: Record<string, number> = {};
  for (const name of ['tandem', 'local', 'transformers', 'upload'] as const) {
    const outdir = name === 'tandem' ? tandem : plain;
    const entry = join(root, `dist/bench/side-by-side/page-${name}.js`);
    const files = await bundled(root, name, entry);
    const scripts = files.filter(isScript);
    for (const { fileName, code } of files) {
      await mkdir(dirname(join(outdir, fileName)), { recursive: true });
      await writeFile(join(outdir, fileName), code);
    }
    const own = await bundled(root, name, entry, /^onnxruntime-/);
    scriptBytes[name] = own.filter(isScript).reduce((sum, { code }) => sum + gzipSync(code).byteLength, 0);
    const { atOnce, later } = firstOf(scripts, `${name}.js`);
    const hints = atOnce.map(modulePreload);
    if (name === 'tandem') {
      const charset = filePath(recipe.name, plan.assets['charset'] as PlanFile);
      // What a first request takes, and what its answer is read with; then the rest of the SDK, which keeps the page's thread busy.
      hints.push(...[planHeadPath(recipe.name), WELCOME_PATH, charset].map(fetchPreload));
    }
    hints.push(...later.map(modulePreload));
    await writeFile(join(outdir, `${name}.html`), pageOf(name, hints.join('')));
  }
  return { tandem, plain, scriptBytes: scriptBytes as Sites['scriptBytes'] };
}

interface SiteFile {
  readonly fileName: string;
  readonly code: string | Uint8Array;
  readonly imports: readonly string[];
  readonly dynamicImports: readonly string[];
}

const isScript = ({ fileName }: SiteFile) => fileName.endsWith('.js');

/** A page's scripts, its worker's and the runtime, as Vite makes them for a site. What is external is left out. */
async function bundled(root: string, name: PageName, entry: string, external?: RegExp): Promise<SiteFile[]> {
  const shared = external ? { external } : {};
  const files = { entryFileNames: '[name].js', chunkFileNames: '[name]-[hash].js' };
  const output = external ? files : { ...files, banner: SEE_MEMORY };
  const built = (await build({
    ...{ root, configFile: false, logLevel: 'error' },
    build: {
      ...{ write: false, target: 'es2022', modulePreload: false, minify: true },
      rolldownOptions: { ...shared, input: { [name]: entry }, output },
    },
    worker: { format: 'es', rolldownOptions: { ...shared, output } },
  })) as Rolldown.RolldownOutput;
  return built.output.flatMap((file): SiteFile[] => {
    const { fileName } = file;
    if (!/\.(js|wasm)$/.test(fileName) || UNUSED.test(fileName)) return [];
    return file.type === 'chunk' ? [file] : [{ fileName, code: file.source, imports: [], dynamicImports: [] }];
  });
}

/** Names of the scripts that a script needs, and of those that it asks for as it begins, with what these need. */
function firstOf(scripts: readonly SiteFile[], entry: string): Record<'atOnce' | 'later', string[]> {
  const of = (names: Iterable<string>, kind: 'imports' | 'dynamicImports') =>
    scripts.filter(({ fileName }) => new Set(names).has(fileName)).flatMap((script) => script[kind]);
  const withNeeded = (names: readonly string[]) => {
    const found = new Set(names);
    for (const name of found) for (const other of of([name], 'imports')) found.add(other);
    return [...found];
  };
  const atOnce = withNeeded([entry]);
  const later = withNeeded(of(atOnce, 'dynamicImports')).filter((name) => !atOnce.includes(name));
  return { atOnce: atOnce.filter((name) => name !== entry), later };
}

const modulePreload = (file: string) => `<link rel="modulepreload" href="${file}">`;
const fetchPreload = (path: string) => `<link rel="preload" as="fetch" crossorigin href="${path}">`;

function pageOf(name: string, hints: string): string {
  return `<!doctype html><meta charset="utf-8"><title>${name}</title><meta name="viewport" content="width=device-width"><link rel="icon" href="data:,"><script type="module" src="${name}.js"></script>${hints}\n`;
}
