/**
 * Text lines as a phone would photograph them, drawn from a seed: unlimited labelled data. Calibration and test lines
 * share neither a word nor a font, and every line holds at least one word, so no text is in both.
 */
import { type Canvas, createCanvas } from '@napi-rs/canvas';
import type { Picture } from '../../shared/preprocess/resize.ts';
import { gaussian, type Random, randomInt, seededRandom } from '../../shared/random.ts';
import { fillPaper, photograph, randomFont, randomTones, registerFonts, tinted } from '../drawing.ts';
import { randomText, type Split } from '../drawn-text.ts';

export interface LabelledLine {
  readonly text: string;
  readonly picture: Picture;
}

/** `count` lines of a split. The same seed gives the same lines; other counts give a prefix. */
export async function* textLines(split: Split, count: number, seed: number): AsyncGenerator<LabelledLine> {
  registerFonts(split);
  for (let i = 0; i < count; i++) {
    // A stream a line, so that a line does not depend on how much randomness the ones before it took.
    const random = seededRandom(seed * 1_000_003 + i * 2 + (split === 'test' ? 1 : 0));
    const text = randomText(random, split);
    yield { text, picture: await photograph(drawLine(random, text, split), random) };
  }
}

/** Draws the text on a tinted, unevenly lit ground, slightly rotated. */
function drawLine(random: Random, text: string, split: Split): Canvas {
  const sizePx = randomInt(random, 18, 56);
  const font = randomFont(random, split, sizePx);
  const measure = createCanvas(1, 1).getContext('2d');
  measure.font = font;
  const marginPx = sizePx * (0.15 + random() * 0.35);
  const width = Math.ceil(measure.measureText(text).width + 2 * marginPx);
  const height = Math.ceil(sizePx * (1.25 + random() * 0.35));
  const canvas = createCanvas(width, height);
  const context = canvas.getContext('2d');
  const { paper, ink } = randomTones(random);
  fillPaper(context, random, paper);
  const blurPx = random() < 0.5 ? 0 : random() * sizePx * 0.035;
  if (blurPx > 0) context.filter = `blur(${blurPx.toFixed(2)}px)`;
  context.translate(width / 2, height / 2);
  context.rotate((gaussian(random) * 0.35 * Math.PI) / 180);
  context.font = font;
  context.textAlign = 'center';
  context.textBaseline = 'middle';
  context.fillStyle = tinted(random, ink);
  context.fillText(text, 0, 0);
  return canvas;
}
