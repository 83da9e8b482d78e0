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
  for (const [what, size] of Object.entries(sizes) as [string, BundleSizes['own']][]) {
    const { gzipBytes, firstAnswerGzipBytes, allGzipBytes } = size;
    process.stderr.write(
      `bundle, ${what}: ${gzipBytes} bytes in gzip with the import, ${firstAnswerGzipBytes} until a first answer, ${allGzipBytes} in all\n`,
    );
  }
});

test('a first request is on its way after at most 7.5 kB, all of it our own; wanted are at most 12 and 28 kB', () => {
  expect(sizes.own.gzipBytes).toBeLessThanOrEqual(7.5 * KB);
  expect(sizes.client.gzipBytes).toBeLessThanOrEqual(7.5 * KB);
});

// Over the limits of 12 and 28 kB that are wanted of the whole client: these keep it from growing further.
test('a first answer takes at most 42.6 kB of our own code, and 45 kB with the libraries it uses', () => {
  expect(sizes.own.firstAnswerGzipBytes).toBeLessThanOrEqual(42.6 * KB);
  expect(sizes.client.firstAnswerGzipBytes).toBeLessThanOrEqual(45 * KB);
});

test('all that is ever loaded, with msgpackr, is at most 57.6 kB', () => {
  expect(sizes.client.allGzipBytes).toBeLessThanOrEqual(57.6 * KB);
});

test('the worker is at most 11 kB in gzip, without the runtime', () => {
  expect(sizes.worker.gzipBytes).toBeLessThanOrEqual(11 * KB);
});

test('says what is largest, and leaves out what it says it does', () => {
  expect(Object.keys(sizes.client.largest)).toContain('msgpackr/pack.js');
  expect(Object.keys(sizes.own.largest).filter((path) => !/^(client|shared|runtimes)\//.test(path))).toEqual([]);
  expect(Object.keys(sizes.worker.largest).filter((path) => path.includes('onnxruntime'))).toEqual([]);
});
