import { createHash } from 'node:crypto';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { writeModelFile } from '../../compiler/onnx/files.ts';
import { assertSendable, readSourceBytes, sourceSha256 } from '../../compiler/prepare.ts';
import type { ModelRecipe } from '../../compiler/recipe.ts';
import { temporaryFolder } from '../helpers/processes.ts';
import { coded } from './coded.ts';
import { modelOf } from './run-graph.ts';
import { graphOf } from './text-graph.ts';

const graph = graphOf('in x [2,40]\nconst w [40,40]\ny = MatMul(x, w)\nout y');

test('a model is another when the weights beside its file are', async () => {
  const dir = await temporaryFolder();
  onTestFinished(() => rm(dir, { recursive: true }));
  const file = join(dir, 'model.onnx');
  const recipe = { source: 'model.onnx', file } as ModelRecipe;
  const hash = async () => sourceSha256(await readSourceBytes(recipe), recipe);
  writeModelFile(modelOf(graph), file);
  expect(await hash()).toBe(
    createHash('sha256')
      .update(await readFile(file))
      .digest('hex'),
  );
  writeModelFile(modelOf(graph), file, 1000);
  const before = await hash();
  expect(await hash()).toBe(before);
  const weights = await readFile(`${file}.data`);
  weights[6000] = (weights[6000] ?? 0) ^ 1;
  await writeFile(`${file}.data`, weights);
  expect(await hash()).not.toBe(before);
});

test('a model is refused whose inputs or outputs no plan can carry', () => {
  const recipe = { source: 'm.onnx' };
  const model = modelOf(graphOf('in x [2,40]\nconst w [40,40]\ny = MatMul(x, w)\nout y'));
  expect(assertSendable(model, recipe)).toBe(model);
  const [y] = model.graph.outputs;
  if (!y) throw new Error('no output');
  for (const elementType of ['string', 'int4'] as const) {
    const other = { ...model, graph: { ...model.graph, outputs: [{ ...y, elementType }] } };
    expect(() => assertSendable(other, recipe)).toThrow(
      coded('UNSUPPORTED', `m.onnx has y, which is of type ${elementType}`),
    );
  }
  const denoted = { ...model, graph: { ...model.graph, outputs: [{ ...y, opaque: new Uint8Array(1) }] } };
  expect(assertSendable(denoted, recipe)).toBe(denoted);
  const sequence = {
    ...model,
    graph: { ...model.graph, outputs: [{ ...y, elementType: 'undefined' as const, opaque: new Uint8Array(1) }] },
  };
  expect(() => assertSendable(sequence, recipe)).toThrow(coded('UNSUPPORTED', 'no tensor'));
});
