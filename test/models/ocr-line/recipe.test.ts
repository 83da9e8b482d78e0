import { readFile } from 'node:fs/promises';
import * as ort from 'onnxruntime-node';
import { describe, expect, test, vi } from 'vitest';
import { loadModel } from '../../../compiler/onnx/load.ts';
import { readSource, withTaps } from '../../../compiler/prepare.ts';
import { ocrLineRecipe } from '../../../models/ocr-line/recipe.ts';
import { nodeRuntime } from '../../../runtimes/onnxruntime-node.ts';
import { fitPicture } from '../../../shared/preprocess/picture.ts';
import { pictureTensor } from '../../../shared/preprocess/picture-tensor.ts';
import { float32, tensor } from '../../../shared/tensor.ts';

vi.setConfig({ testTimeout: 30_000 });

describe('the recipe of ocr-line', () => {
  test('reads test lines as they were written, with fewer than one wrong letter in twenty', async () => {
    const recipe = ocrLineRecipe(undefined);
    const model = withTaps(readSource(await readFile(recipe.file), recipe), []);
    const session = await loadModel(nodeRuntime(ort, { threads: 1 }), model);
    const pairs = [];
    for await (const { input, truth } of recipe.samples('test', 12, 1)) {
      const x = pictureTensor(fitPicture(input, recipe.preprocess, recipe.size), recipe.preprocess);
      pairs.push({ truth, predicted: recipe.answer(await session.run({ x })) });
    }
    await session.release();
    expect(pairs).toHaveLength(12);
    expect(recipe.score(pairs)['cer']).toBeLessThan(0.05);
  });

  test('brings pixels to [-1, 1], blue first', () => {
    const { preprocess } = ocrLineRecipe(undefined);
    const picture = { width: 2, height: 1, data: Uint8Array.of(255, 0, 0, 255, 0, 0, 255, 255) };
    const values = [...(pictureTensor(picture, preprocess).data as Float32Array)];
    expect(values.map((value) => Math.round(value * 1e6) / 1e6)).toEqual([-1, 1, -1, -1, 1, -1]);
  });

  test('scores by the metrics that it names', () => {
    const recipe = ocrLineRecipe(undefined);
    const scores = recipe.score([{ truth: 'ab', predicted: 'ax' }]);
    expect(scores).toEqual({ exactMatch: 0, cer: 0.5 });
    expect(recipe.metrics.map(({ name }) => name).sort()).toEqual(Object.keys(scores).sort());
  });

  test('answers with the text of the best classes, and with none where there are no outputs', () => {
    const recipe = ocrLineRecipe(undefined);
    const indices = tensor('int32', [1, 2], Int32Array.of(6624, 1));
    const probabilities = float32([1, 2], Float32Array.of(1, 1));
    expect(recipe.answer({ indices, probabilities })).toHaveLength(1);
    expect(recipe.answer({})).toBe('');
  });

  test('carries what was measured before as it is handed in', () => {
    expect(ocrLineRecipe(undefined).committed).toBeUndefined();
    expect(ocrLineRecipe({ planId: 'a' }).committed).toEqual({ planId: 'a' });
  });
});
