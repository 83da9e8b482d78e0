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
});

// Over the limit: 18.4 kB. It may be no more than 12 kB once the core is loaded by `connect`; then this is a plain test.
test.fails('our own code costs a page at most 12 kB in gzip before it connects', () => {
  expect(sizes.own.gzipBytes).toBeLessThanOrEqual(12 * KB);
});

// Over the limit: 33.4 kB, half of it msgpackr.
test.fails('the client costs a page at most 28 kB in gzip before it connects, with the libraries it uses', () => {
  expect(sizes.client.gzipBytes).toBeLessThanOrEqual(28 * KB);
});

test('the worker is at most 16 kB in gzip, without the runtime', () => {
  expect(sizes.worker.gzipBytes).toBeLessThanOrEqual(16 * KB);
});

test('says what is largest, and leaves out what it says it does', () => {
  expect(Object.keys(sizes.client.largest)).toContain('msgpackr/pack.js');
  expect(Object.keys(sizes.own.largest).filter((path) => !/^(client|shared|runtimes)\//.test(path))).toEqual([]);
  expect(Object.keys(sizes.worker.largest).filter((path) => path.includes('onnxruntime'))).toEqual([]);
});
