import { fileURLToPath } from 'node:url';
import { beforeAll, expect, test } from 'vitest';
import type { BundleSizes } from '../../bench/bundle-size.ts';
import { run } from '../helpers/processes.ts';

const BENCH = fileURLToPath(new URL('../../dist/bench/bundle-size.js', import.meta.url));
const KB = 1000;

let sizes: BundleSizes;
beforeAll(async () => {
  const { stdout } = await run(process.execPath, [BENCH]);
  sizes = JSON.parse(stdout) as BundleSizes;
  for (const [what, { gzipBytes, lazyGzipBytes }] of Object.entries(sizes) as [string, BundleSizes['own']][]) {
    process.stderr.write(`bundle, ${what}: ${gzipBytes} bytes in gzip with the import, ${lazyGzipBytes} later\n`);
  }
});

test('our own code costs a page at most 12 kB in gzip before it connects', () => {
  expect(sizes.own.gzipBytes).toBeLessThanOrEqual(12 * KB);
});

test('the client costs a page at most 28 kB in gzip before it connects, with the libraries it uses', () => {
  expect(sizes.client.gzipBytes).toBeLessThanOrEqual(28 * KB);
});

// Over the limits of 12 and 28 kB that are wanted of the whole client: these keep it from growing further.
test('what connect loads is at most 38.8 kB of our own code, and 54 kB with the libraries it uses', () => {
  expect(sizes.own.gzipBytes + sizes.own.lazyGzipBytes).toBeLessThanOrEqual(38.8 * KB);
  expect(sizes.client.gzipBytes + sizes.client.lazyGzipBytes).toBeLessThanOrEqual(54 * KB);
});

test('the worker is at most 16.5 kB in gzip, without the runtime', () => {
  expect(sizes.worker.gzipBytes).toBeLessThanOrEqual(16.5 * KB);
});

test('says what is largest, and leaves out what it says it does', () => {
  expect(Object.keys(sizes.client.largest)).toContain('msgpackr/pack.js');
  expect(Object.keys(sizes.own.largest).filter((path) => !/^(client|shared|runtimes)\//.test(path))).toEqual([]);
  expect(Object.keys(sizes.worker.largest).filter((path) => path.includes('onnxruntime'))).toEqual([]);
});
