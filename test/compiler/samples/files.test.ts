import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { create, toBinary } from '@bufbuild/protobuf';
import { zipSync } from 'fflate';
import { TensorProtoSchema } from 'onnx-buf';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { elementsOf, float16Bits, float16Values } from '../../../compiler/compress/float16.ts';
import { makeGraph, type ValueInfo } from '../../../compiler/graph/graph.ts';
import { readSamples } from '../../../compiler/samples/files.ts';
import { randomSample, shapesTaken } from '../../../compiler/samples/random.ts';
import type { Tensor } from '../../../shared/tensor.ts';
import { npy } from '../../helpers/npz.ts';
import { coded } from '../coded.ts';

const INPUTS: ValueInfo[] = [
  { name: 'x', elementType: 'float32', shape: ['batch', 2] },
  { name: 'n', elementType: 'int64', shape: [] },
];

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tandem-samples-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

function tensorFile(dataType: number, dims: bigint[], rawData: Uint8Array): Uint8Array {
  return toBinary(TensorProtoSchema, create(TensorProtoSchema, { dataType, dims, rawData: new Uint8Array(rawData) }));
}

function writeSet(name: string, value: number): void {
  mkdirSync(join(folder, name));
  writeFileSync(
    join(folder, name, 'input_0.pb'),
    tensorFile(1, [1n, 2n], new Uint8Array(Float32Array.of(value, 0).buffer)),
  );
  writeFileSync(join(folder, name, 'input_1.pb'), tensorFile(7, [], new Uint8Array(BigInt64Array.of(5n).buffer)));
}

describe('samples in an archive', () => {
  const pairs: ValueInfo[] = ['x', 'y'].map((name) => ({ name, elementType: 'float32', shape: [2] }));

  function writeArchive(ofX: string, ofY: string): string {
    const path = join(folder, 'a.npz');
    const array = (shape: string) => {
      const count = shape
        .split(/\D+/)
        .filter(Boolean)
        .map(Number)
        .reduce((product, dim) => product * dim, 1);
      return npy('<f4', shape, new Uint8Array(4 * count));
    };
    writeFileSync(path, zipSync({ 'x.npy': array(ofX), 'y.npy': array(ofY) }));
    return path;
  }

  test('are slices, and what has no axis for them is the same in each', async () => {
    const samples = await readSamples(writeArchive('(3, 2)', '(2,)'), pairs);
    expect(samples.map(({ x, y }) => [x?.data.length, y?.data.length])).toEqual([
      [2, 2],
      [2, 2],
      [2, 2],
    ]);
  });

  test('that are not as many of each input are refused (BAD_INPUT)', async () => {
    const path = writeArchive('(3, 2)', '(2, 2)');
    await expect(readSamples(path, pairs)).rejects.toThrow(coded('BAD_INPUT', 'got x: 3, y: 2'));
  });

  test('are looked for under names of arrays alone', async () => {
    const odd: ValueInfo[] = [{ name: 'toString', elementType: 'float32', shape: [2] }];
    const path = writeArchive('(2,)', '(2,)');
    await expect(readSamples(path, odd)).rejects.toThrow(coded('BAD_INPUT', 'has no array toString'));
  });
});

test('noise is made for inputs and dimensions of any name', () => {
  const graph = makeGraph({
    inputs: [{ name: 'toString', elementType: 'float32', shape: ['constructor', 2] }],
    ...{ outputs: [], nodes: [] },
  });
  expect(randomSample(graph, { sizes: {}, shapes: {} }, 1)['toString']).toMatchObject({ shape: [1, 2] });
});

test('noise is empty where the file says so, and of a guessed size where it says less than nothing', () => {
  const input: ValueInfo = { name: 'past', elementType: 'float32', shape: [-1, 0, 2, -1] };
  const graph = makeGraph({ inputs: [input], outputs: [], nodes: [] });
  const dims = { sizes: {}, shapes: {} };
  expect(randomSample(graph, dims, 1)['past']?.shape).toEqual([1, 0, 2, 64]);
  expect(shapesTaken([input], dims)).toEqual([expect.stringContaining('was taken to be [1,0,2,64]')]);
});

test('noise of half precision is of numbers as noise of single precision is, not of bits', () => {
  const noiseOf = (elementType: 'float16' | 'float32') => {
    const graph = makeGraph({ inputs: [{ name: 'x', elementType, shape: [1000] }], outputs: [], nodes: [] });
    return elementsOf(randomSample(graph, { sizes: {}, shapes: {} }, 1)['x'] as Tensor) as Float32Array;
  };
  expect(noiseOf('float16')).toEqual(float16Values(float16Bits(noiseOf('float32'))));
});

describe('samples in a folder', () => {
  test('are one a test_data_set, or the one set that the folder is', async () => {
    writeSet('test_data_set_0', 1);
    writeSet('test_data_set_1', 2);
    const all = await readSamples(folder, INPUTS);
    expect(all.map(({ x }) => x?.data[0])).toEqual([1, 2]);
    expect(all[0]?.['n']).toEqual({ dtype: 'int64', shape: [], data: BigInt64Array.of(5n) });
    expect(await readSamples(join(folder, 'test_data_set_1'), INPUTS)).toHaveLength(1);
  });

  test('are numbered by the inputs that the file has, those that are fixed included', async () => {
    writeSet('test_data_set_0', 1);
    const [sample] = await readSamples(folder, INPUTS.slice(1), ['x', 'n']);
    expect(sample).toEqual({ n: { dtype: 'int64', shape: [], data: BigInt64Array.of(5n) } });
  });

  test.each([
    ['nothing', () => {}, 'expected input x in'],
    ['a file that is no tensor', () => writeFileSync(join(folder, 'input_0.pb'), 'no'), 'holds no tensor'],
    [
      'a tensor of another shape',
      () => {
        writeFileSync(join(folder, 'input_0.pb'), tensorFile(1, [1n, 3n], new Uint8Array(12)));
        writeFileSync(join(folder, 'input_1.pb'), tensorFile(7, [], new Uint8Array(8)));
      },
      'expected x, float32 [batch,2], got float32 [1,3]',
    ],
  ])('of %s are refused (BAD_INPUT)', async (_, prepare, message) => {
    prepare();
    await expect(readSamples(folder, INPUTS)).rejects.toThrow(coded('BAD_INPUT', message));
  });

  test('that is not there is said (NOT_FOUND)', async () => {
    await expect(readSamples(join(folder, 'none'), INPUTS)).rejects.toThrow(coded('NOT_FOUND', 'cannot read'));
  });
});
