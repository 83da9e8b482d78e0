import { describe, expect, test } from 'vitest';
import { CLIP_SAMPLES } from '../../../models/wake-word/clips.ts';
import { soundOf, spectralDistanceDb, spectrogram, spectrogramView } from '../../../models/wake-word/spectrogram.ts';
import { float32 } from '../../../shared/tensor.ts';

/** A tone that rises from 300 Hz to 3 kHz in the clip's middle. */
const chirp = Float32Array.from({ length: CLIP_SAMPLES }, (_, i) => {
  const seconds = i / 16_000;
  return seconds > 0.5 && seconds < 1.5
    ? 0.3 * Math.sin(2 * Math.PI * (300 + 1350 * (seconds - 0.5)) * (seconds - 0.5))
    : 0;
});

function loudestRow({ rows, columns, data }: ReturnType<typeof spectrogram>, column: number): number {
  const levels = Array.from({ length: rows }, (_, row) => data[row * columns + column] as number);
  return levels.indexOf(Math.max(...levels));
}

describe('the spectrogram of a clip', () => {
  test('has a column every 10 ms, and shows a rising tone as a line that rises', () => {
    const plane = spectrogram(chirp);
    expect([plane.rows, plane.columns]).toEqual([64, 196]);
    const rows = [60, 90, 120, 145].map((column) => loudestRow(plane, column));
    expect(rows).toEqual([...rows].sort((a, b) => b - a));
    expect((rows[0] as number) - (rows[3] as number)).toBeGreaterThan(15);
    expect(Math.max(...plane.data.filter((_, i) => i % 196 < 20))).toBe(0);
  });

  test('can be made a sound that has it again', () => {
    const plane = spectrogram(chirp);
    const again = spectrogram(soundOf(plane, CLIP_SAMPLES));
    for (const column of [60, 90, 120, 145]) {
      expect(Math.abs(loudestRow(again, column) - loudestRow(plane, column))).toBeLessThanOrEqual(1);
    }
    const loud = (at: number) => (plane.data[at] as number) > 0.6;
    const errors = [...plane.data.keys()]
      .filter(loud)
      .map((at) => Math.abs((plane.data[at] as number) - (again.data[at] as number)));
    expect(errors.reduce((sum, error) => sum + error, 0) / errors.length).toBeLessThan(0.06);
  });

  test('is as far from silence as its levels say, in decibels', () => {
    const plane = spectrogram(chirp);
    expect(spectralDistanceDb(plane, plane)).toBe(0);
    expect(spectralDistanceDb(plane, { ...plane, data: plane.data.map((value) => value + 0.05) })).toBeCloseTo(5, 3);
  });

  test('is the view of the model: back to an input of the same shape', () => {
    const input = { audio: float32([1, CLIP_SAMPLES], chirp) };
    const back = spectrogramView.unsee(spectrogramView.see(input), input);
    expect(back['audio']?.shape).toEqual([1, CLIP_SAMPLES]);
  });
});
