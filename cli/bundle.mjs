/**
 * Lays the engine's WebAssembly beside the client, and bundles what pages without a bundler need into dist/client/bundled, where
 * `tandem copy-assets` takes it from. Run after tsc; an installed package has its result, and needs no esbuild.
 */
import { copyFile, mkdir, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const dist = join(dirname(fileURLToPath(import.meta.url)), '../dist');
const outdir = join(dist, 'client/bundled');

const { resolve } = createRequire(import.meta.url);
for (const wasm of ['ort-wasm-simd-threaded.wasm', 'ort-wasm-simd-threaded.asyncify.wasm']) {
  await copyFile(resolve(`onnxruntime-web/${wasm}`), join(dist, 'client', wasm));
}

await rm(outdir, { recursive: true, force: true });
await mkdir(outdir, { recursive: true });
await build({
  // The worker lands beside the client, where the SDK's new URL('./worker.js', import.meta.url) looks for it.
  entryPoints: {
    client: join(dist, 'client/browser.js'),
    worker: join(dist, 'client/worker.js'),
    'worker-accelerated': join(dist, 'client/worker-accelerated.js'),
    'ocr-line': join(dist, 'models/ocr-line/ctc.js'),
    'text-detector': join(dist, 'models/text-detector/boxes.js'),
  },
  outdir,
  bundle: true,
  format: 'esm',
  target: 'es2022',
  minify: true,
  // Read by developer tools alone.
  sourcemap: true,
  logLevel: 'warning',
});
