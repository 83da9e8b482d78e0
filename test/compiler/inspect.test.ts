import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { inspect } from '../../compiler/index.ts';
import { writeModel } from '../../compiler/onnx/write.ts';
import { temporaryFolder } from '../helpers/processes.ts';
import { modelOf } from './run-graph.ts';
import { graphOf } from './text-graph.ts';

async function inspected(text: string) {
  const dir = await temporaryFolder();
  onTestFinished(() => rm(dir, { recursive: true }));
  const file = join(dir, 'model.onnx');
  await writeFile(file, writeModel(modelOf(graphOf(text), 13)));
  return inspect({ source: file, file }, { tensorsMax: 1, dims: { sizes: {}, shapes: {} } });
}

test('boundaries that cannot be sent are not listed, and counted: text, and tensors without elements', async () => {
  const { boundaries, remarks } = await inspected(`
    in x [2,3]
    a = Neg(x)
    t = Cast(a) to=8
    b = Cast(t) to=1
    e = Slice(b, [0], [0])
    n = Concat(e, e) axis=0
    y = Tanh(n)
    out y
  `);
  expect(boundaries.map(({ tensors }) => tensors.map(({ name }) => name))).toEqual([['a'], ['b']]);
  expect(remarks.at(-1)).toBe('3 boundaries are left out: their tensors are empty, or of a type that cannot be sent');
});
