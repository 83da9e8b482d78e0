import { describe, expect, test } from 'vitest';
import { loadRecipe, MODEL_NAMES } from '../../models/index.ts';
import { coded } from '../compiler/coded.ts';

describe('models by name', () => {
  test('there are some, and their recipes say who they are', async () => {
    expect(MODEL_NAMES).toEqual(['ocr-line', 'text-detector', 'vad', 'wake-word']);
    for (const name of MODEL_NAMES) expect((await loadRecipe(name)).name).toBe(name);
  });

  test('the recipe carries what was measured and committed beside it', async () => {
    const { committed } = await loadRecipe('ocr-line');
    expect(committed).toMatchObject({ planId: expect.stringMatching(/^[0-9a-f]{64}$/) });
  });

  test.each(['ocr', '', 'OCR-LINE', '../models/ocr-line', 'toString', '__proto__'])('there is no %j', async (name) => {
    await expect(loadRecipe(name)).rejects.toThrow(
      coded('UNKNOWN_MODEL', `(ocr-line, text-detector, vad, wake-word), got ${name}`),
    );
  });
});
