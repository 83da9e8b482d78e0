import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { expect, test } from 'vitest';
import { ORT_ACCELERATED, ORT_WASM } from '../../client/ort-release.ts';

const require = createRequire(import.meta.url);

test.each([
  { file: 'ort-wasm-simd-threaded.wasm', ...ORT_WASM },
  { file: 'ort-wasm-simd-threaded.asyncify.wasm', ...ORT_ACCELERATED },
])('$file is the one of the package that is installed', ({ file, bytes, sha256, of }) => {
  const content = readFileSync(require.resolve(`onnxruntime-web/${file}`));
  expect({ bytes: content.byteLength, sha256: createHash('sha256').update(content).digest('hex') }).toEqual({
    ...{ bytes, sha256 },
  });
  const { version } = JSON.parse(readFileSync('node_modules/onnxruntime-web/package.json', 'utf8')) as {
    version: string;
  };
  expect(of).toBe(`onnxruntime-web ${version}`);
});
