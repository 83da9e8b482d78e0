/** Bundles the demo page and the SDK's worker, and lays the site out in dist/web/site. Run after tsc. */
import { cp, mkdir, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const site = join(root, 'dist/web/site');
const wasm = 'ort-wasm-simd-threaded.wasm';

await rm(site, { recursive: true, force: true });
await mkdir(site, { recursive: true });
await build({
  // The worker lands beside the bundle, where the SDK's new URL('./worker.js', import.meta.url) looks for it.
  entryPoints: { app: join(root, 'dist/web/app.js'), worker: join(root, 'dist/client/worker.js') },
  outdir: site,
  bundle: true,
  splitting: true,
  format: 'esm',
  target: 'es2022',
  minify: true,
  sourcemap: true,
  logLevel: 'warning',
});
for (const file of ['index.html', 'style.css']) await cp(join(root, 'web/site', file), join(site, file));
await cp(join(root, 'dist/client', wasm), join(site, wasm));
