import { readFile } from 'node:fs/promises';
import * as ort from 'onnxruntime-node';
import { describe, expect, test, vi } from 'vitest';
import { loadModel } from '../../../compiler/onnx/load.ts';
import { readSource, withTaps } from '../../../compiler/prepare.ts';
import { textDetectorRecipe } from '../../../models/text-detector/recipe.ts';
import { nodeRuntime } from '../../../runtimes/onnxruntime-node.ts';
import { fitPicture } from '../../../shared/preprocess/picture.ts';
import { pictureTensor } from '../../../shared/preprocess/picture-tensor.ts';
import { isSize } from '../../../shared/size-of.ts';
import { float32, type Tensors } from '../../../shared/tensor.ts';

vi.setConfig({ testTimeout: 30_000 });

const recipe = textDetectorRecipe(undefined);

/** A map of 64 x 96 with text in the given rows. */
function outputs(...lines: { from: number; to: number; value?: number }[]): Tensors {
  const data = new Float32Array(64 * 96);
  for (const { from, to, value = 1 } of lines) {
    for (let y = from; y < to; y++) data.fill(value, y * 96 + 20, y * 96 + 80);
  }
  return { 'sigmoid_0.tmp_0': float32([1, 1, 64, 96], data) };
}

/** As shares of 64 x 96. */
const truth = (...boxes: number[][]) =>
  JSON.stringify(
    boxes.map(([left = 0, top = 0, right = 0, bottom = 0]) => [left / 96, top / 64, right / 96, bottom / 64]),
  );

describe('the recipe of text-detector', () => {
  test('finds nine in ten lines of test pages where they were drawn', async () => {
    const session = await loadModel(
      nodeRuntime(ort, { threads: 1 }),
      withTaps(readSource(await readFile(recipe.file), recipe), []),
    );
    const grades = [];
    for await (const { input, truth: drawn } of recipe.samples('test', 12, 1)) {
      const x = pictureTensor(fitPicture(input, recipe.preprocess, recipe.size), recipe.preprocess);
      expect(isSize(x.shape[3] as number, recipe.size)).toBe(true);
      const result = await session.run({ x });
      grades.push(recipe.judge(result, drawn, result));
    }
    await session.release();
    expect(grades.reduce((sum, { lines }) => sum + Number(lines), 0)).toBeGreaterThan(30);
    const { boxRecall, mapError, truthRecall } = recipe.score(grades);
    expect([boxRecall, mapError]).toEqual([1, 0]);
    expect(truthRecall).toBeGreaterThan(0.9);
  });

  test('brings pixels to the range of ImageNet, blue first with the mean of red', () => {
    const picture = { width: 1, height: 1, data: Uint8Array.of(255, 0, 51, 255) };
    const values = [...(pictureTensor(picture, recipe.preprocess).data as Float32Array)];
    const wanted = [(0.2 - 0.485) / 0.229, (0 - 0.456) / 0.224, (1 - 0.406) / 0.225];
    for (const [i, value] of wanted.entries()) expect(values[i]).toBeCloseTo(value, 5);
  });

  test('judges by the boxes of the whole model, by its map and by what was drawn', () => {
    const whole = outputs({ from: 10, to: 16 }, { from: 40, to: 46 });
    // 60 x 6 pixels grow by 60 * 6 * 1.5 / 132 = 4.1 on each side.
    const drawn = truth([16, 6, 84, 20], [16, 36, 84, 50], [0, 54, 90, 60]);
    const same = recipe.judge(whole, drawn, whole);
    expect(recipe.score([same])).toEqual({ boxRecall: 1, mapError: 0, truthRecall: 2 / 3 });
    const half = recipe.judge(outputs({ from: 10, to: 16 }), drawn, whole);
    expect(recipe.score([half])).toEqual({ boxRecall: 0.5, mapError: 360 / (64 * 96), truthRecall: 1 / 3 });
    expect(recipe.score([same, half])).toEqual({ boxRecall: 3 / 4, mapError: 180 / (64 * 96), truthRecall: 1 / 2 });
    expect(recipe.metrics.map(({ name }) => name)).toEqual(['boxRecall', 'mapError', 'truthRecall']);
  });

  test('scores nothing as nothing found', () => {
    expect(recipe.score([])).toEqual({ boxRecall: 0, mapError: 0, truthRecall: 0 });
  });

  test('answers with the cells of 32 pixels that the lines are in, which a pixel more does not change', () => {
    expect(recipe.answer(outputs({ from: 10, to: 16 }, { from: 40, to: 46 }))).toBe('1,0 1,1');
    expect(recipe.answer(outputs({ from: 10, to: 17, value: 0.8 }, { from: 39, to: 46 }))).toBe('1,0 1,1');
    // It begins in the cell above.
    expect(recipe.answer(outputs({ from: 30, to: 38 }))).toBe('1,1');
    expect(recipe.answer(outputs())).toBe('');
    expect(recipe.answer({})).toBe('');
  });

  test('carries what was measured before as it is handed in', () => {
    expect(recipe.committed).toBeUndefined();
    expect(textDetectorRecipe({ planId: 'a' }).committed).toEqual({ planId: 'a' });
  });
});
