/** How text is drawn and photographed for the models that read it: fonts, tinted paper under uneven light, a camera. */
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { type Canvas, GlobalFonts, loadImage, type SKRSContext2D } from '@napi-rs/canvas';
import type { Picture } from '../shared/preprocess/resize.ts';
import { gaussian, pick, type Random, randomInt } from '../shared/random.ts';
import { FONTS, type Split } from './drawn-text.ts';

/** Levels of grey, 0 to 255, before they are tinted. */
export interface Tones {
  readonly paper: number;
  readonly ink: number;
}

/** Skia's font collection is process-wide; registering a file twice does no harm. */
export function registerFonts(split: Split): void {
  const { resolve } = createRequire(import.meta.url);
  for (const font of FONTS[split]) {
    const folder = join(dirname(resolve(`@fontsource/${font}/package.json`)), 'files');
    for (const weight of [400, 700]) {
      GlobalFonts.registerFromPath(join(folder, `${font}-latin-${weight}-normal.woff2`), font);
    }
  }
}

/** A CSS font of the split, which has to be registered. */
export function randomFont(random: Random, split: Split, sizePx: number): string {
  return `${random() < 0.3 ? 700 : 400} ${sizePx}px "${pick(random, FONTS[split])}"`;
}

/** Dark on light, or less often light on dark; at least 80 levels apart. */
export function randomTones(random: Random): Tones {
  const isDark = random() < 0.15;
  const paper = isDark ? randomInt(random, 10, 80) : randomInt(random, 170, 255);
  return { paper, ink: isDark ? randomInt(random, 170, 255) : randomInt(random, 0, 90) };
}

/** A CSS colour of about that level. */
export function tinted(random: Random, level: number): string {
  const tint = () => randomInt(random, -14, 14);
  return `rgb(${level + tint()}, ${level + tint()}, ${level + tint()})`;
}

/** Fills the canvas with paper that is not lit evenly. */
export function fillPaper(context: SKRSContext2D, random: Random, level: number): void {
  const { width, height } = context.canvas;
  const light = context.createLinearGradient(0, 0, width, height * (random() - 0.5) * 4);
  light.addColorStop(0, tinted(random, level));
  light.addColorStop(1, tinted(random, level + randomInt(random, -30, 10)));
  context.fillStyle = light;
  context.fillRect(0, 0, width, height);
}

/** Sensor noise, then a JPEG of random quality, as a camera would store it. */
export async function photograph(canvas: Canvas, random: Random): Promise<Picture> {
  const { width, height } = canvas;
  const context = canvas.getContext('2d');
  const image = context.getImageData(0, 0, width, height);
  const deviation = random() * 9;
  for (let i = 0; i < image.data.length; i++) {
    if (i % 4 !== 3) image.data[i] = (image.data[i] as number) + gaussian(random) * deviation;
  }
  context.resetTransform();
  context.putImageData(image, 0, 0);
  const photo = await loadImage(await canvas.encode('jpeg', randomInt(random, 50, 95)));
  context.filter = 'none';
  context.drawImage(photo, 0, 0);
  return { width, height, data: context.getImageData(0, 0, width, height).data };
}
