import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { readModelFile, writeModelFile } from '../../../compiler/onnx/files.ts';
import { readModel } from '../../../compiler/onnx/read.ts';
import { writeModel } from '../../../compiler/onnx/write.ts';
import { tinyModelBytes } from '../../helpers/tiny-model.ts';
import { coded } from '../coded.ts';
import { graphOf } from '../text-graph.ts';

let folder: string;
let path: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tandem-onnx-'));
  path = join(folder, 'model', 'm.onnx');
  mkdirSync(join(folder, 'model'));
});
afterEach(() => rmSync(folder, { recursive: true }));

const tiny = () => readModel(tinyModelBytes(), 'tiny.onnx');

/** A model whose weights are said to be at `location`. */
function pointingAt(location: string, offset = 0): Uint8Array {
  return writeModel(tiny(), ({ bytes }) => ({ location, offset, length: bytes.byteLength }));
}

describe('a model that is too large for one message', () => {
  test('is written with its weights beside it, and read again as it was', () => {
    writeModelFile(tiny(), path, 0);
    expect(readdirSync(join(folder, 'model')).sort()).toEqual(['m.onnx', 'm.onnx.data']);
    expect(statSync(path).size).toBeLessThan(statSync(`${path}.data`).size);
    expect(writeModel(readModelFile(path))).toEqual(writeModel(tiny()));
  });

  test('counts the weights of bodies', () => {
    const graph = graphOf('in x [2]\nconst yes [] = 1\ny = If(yes)\nout y');
    const body = () => ({ type: 'graph' as const, value: graphOf('const w [4096]\nr = Mul(x, w)\nout r') });
    graph.nodes[0]?.attributes.set('then_branch', body()).set('else_branch', body());
    writeModelFile({ ...tiny(), graph }, path, 2000);
    expect(statSync(path).size).toBeLessThan(2000);
    expect(statSync(`${path}.data`).size).toBe(2 * 4 * 4096);
  });

  test('puts every tensor where it can be mapped into memory', () => {
    const offsets: number[] = [];
    writeModelFile(tiny(), path, 0);
    const reader = (reference: { offset: number; length: number | undefined }) => {
      offsets.push(reference.offset);
      return new Uint8Array(reference.length ?? 0);
    };
    readModel(writeModel(readModelFile(path)), 'm', reader);
    expect(offsets.every((offset) => offset % 4096 === 0)).toBe(true);
  });
});

test('a small model is one file', () => {
  writeModelFile(tiny(), path);
  expect(readdirSync(join(folder, 'model'))).toEqual(['m.onnx']);
  expect(writeModel(readModelFile(path))).toEqual(writeModel(tiny()));
});

describe('weights beside a model are refused', () => {
  test.each([
    ['above its folder', '../secret.bin', 'outside its folder'],
    ['by a path from the root', '/etc/passwd', 'not a path beside it'],
    ['above it by a detour', 'sub/../../secret.bin', 'outside its folder'],
    ['in a folder', 'sub', 'which is no file'],
    ['that do not exist', 'none.bin', 'which cannot be read'],
    ['behind a NUL', 'm\0.bin', 'not a path beside it'],
    ['by a link that leads out', 'link.bin', 'outside its folder'],
  ])('%s (BAD_MODEL)', (_, location, message) => {
    writeFileSync(join(folder, 'secret.bin'), new Uint8Array(100_000));
    mkdirSync(join(folder, 'model', 'sub'));
    symlinkSync(join(folder, 'secret.bin'), join(folder, 'model', 'link.bin'));
    writeFileSync(path, pointingAt(location));
    expect(() => readModelFile(path)).toThrow(coded('BAD_MODEL', message));
  });

  test('that are shorter than the model says (BAD_MODEL)', () => {
    writeFileSync(join(folder, 'model', 'w.bin'), new Uint8Array(10));
    writeFileSync(path, pointingAt('w.bin'));
    expect(() => readModelFile(path)).toThrow(coded('BAD_MODEL', 'w.bin, which has 10'));
    writeFileSync(path, pointingAt('w.bin', 1e15 - 1));
    expect(() => readModelFile(path)).toThrow(coded('BAD_MODEL', 'which has 10'));
  });
});

test('a model that is not there (NOT_FOUND)', () => {
  expect(() => readModelFile(path)).toThrow(coded('NOT_FOUND', path));
});
