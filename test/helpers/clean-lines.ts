/** Text lines that the model reads without a mistake, as PNG files and as pixels: tests of plumbing, not of accuracy. */
import { createRequire } from 'node:module';
import { createCanvas, GlobalFonts } from '@napi-rs/canvas';
import type { Picture } from '../../shared/preprocess/resize.ts';
import { pick, randomInt, seededRandom } from '../../shared/random.ts';

export interface CleanLine {
  readonly text: string;
  readonly png: Buffer;
  readonly picture: Picture;
}

const WORDS = ['Market', 'Harbor', 'Window', 'Seven', 'Bridge', 'Letter', 'Summer', 'Planet', 'Doctor', 'Ticket'];

export function cleanLines(count: number, seed = 1): CleanLine[] {
  const { resolve } = createRequire(import.meta.url);
  GlobalFonts.registerFromPath(
    resolve('@fontsource/open-sans/files/open-sans-latin-400-normal.woff2'),
    'clean open sans',
  );
  const random = seededRandom(seed);
  return Array.from({ length: count }, () => {
    const words = Array.from({ length: randomInt(random, 1, 3) }, () => pick(random, WORDS));
    return drawLine(`${words.join(' ')} ${randomInt(random, 1000, 9999)}`);
  });
}

function drawLine(text: string): CleanLine {
  const canvas = createCanvas(text.length * 22 + 30, 56);
  const context = canvas.getContext('2d');
  context.fillStyle = '#fff';
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.fillStyle = '#111';
  context.font = '36px "clean open sans"';
  context.textBaseline = 'middle';
  context.fillText(text, 12, 28);
  const { width, height } = canvas;
  return {
    text,
    png: canvas.toBuffer('image/png'),
    picture: { width, height, data: context.getImageData(0, 0, width, height).data },
  };
}
