/**
 * Pages as a phone would photograph them, drawn from a seed: some lines of text of all sizes, nearly level, between shapes
 * that are no text. Calibration and test pages share neither a word nor a font.
 */
import { createCanvas, type SKRSContext2D } from '@napi-rs/canvas';
import type { Picture } from '../../shared/preprocess/resize.ts';
import { gaussian, type Random, randomInt, seededRandom } from '../../shared/random.ts';
import { fillPaper, photograph, randomFont, randomTones, registerFonts, tinted } from '../drawing.ts';
import { randomText, type Split } from '../drawn-text.ts';
import type { Box } from './boxes.ts';

export interface LabelledPage {
  readonly picture: Picture;
  readonly lines: readonly LabelledBox[];
}

/** Around the ink of a line, in pixels of the picture. */
export interface LabelledBox extends Box {
  readonly text: string;
}

const HEIGHT_PX = { min: 320, max: 480 } as const;
const ASPECT = { min: 0.75, max: 2 } as const;
const LINES = { min: 3, max: 8 } as const;
const SHAPES_MAX = 4;
/** Height of letters and size of shapes, as shares of the page's height. */
const LETTERS = { min: 0.035, max: 0.12 } as const;
const SHAPES = { min: 0.04, max: 0.25 } as const;
/** How much of a line's ink is left: some lines are hard to see. */
const OPACITY = { min: 0.2, max: 1 } as const;
/** Places that are tried for one line or shape before it is left out. */
const TRIES = 12;

/** `count` pages of a split. The same seed gives the same pages; other counts give a prefix. */
export async function* textPages(split: Split, count: number, seed: number): AsyncGenerator<LabelledPage> {
  registerFonts(split);
  for (let i = 0; i < count; i++) {
    // A stream a page, so that a page does not depend on how much randomness the ones before it took.
    const random = seededRandom(seed * 1_000_003 + i * 2 + (split === 'test' ? 1 : 0));
    yield await page(random, split);
  }
}

async function page(random: Random, split: Split): Promise<LabelledPage> {
  const height = randomInt(random, HEIGHT_PX.min, HEIGHT_PX.max);
  const canvas = createCanvas(Math.round(height * between(random, ASPECT)), height);
  const context = canvas.getContext('2d');
  const { paper, ink } = randomTones(random);
  fillPaper(context, random, paper);
  const blurPx = random() < 0.5 ? 0 : random() * height * 0.002;
  if (blurPx > 0) context.filter = `blur(${blurPx.toFixed(2)}px)`;
  const lines: LabelledBox[] = [];
  for (let i = randomInt(random, LINES.min, LINES.max); i > 0; i--) {
    const line = drawLine(context, random, { split, ink, taken: lines });
    if (line) lines.push(line);
  }
  const taken: Box[] = [...lines];
  for (let i = randomInt(random, 0, SHAPES_MAX); i > 0; i--) {
    const shape = drawShape(context, random, { ink, taken });
    if (shape) taken.push(shape);
  }
  return { picture: await photograph(canvas, random), lines };
}

/** A line that touches nothing that is `taken`; undefined where there was no place for it. */
function drawLine(
  context: SKRSContext2D,
  random: Random,
  { split, ink, taken }: { split: Split; ink: number; taken: readonly Box[] },
): LabelledBox | undefined {
  const sizePx = Math.round(context.canvas.height * between(random, LETTERS));
  const text = randomText(random, split);
  const angle = (gaussian(random) * 0.5 * Math.PI) / 180;
  context.font = randomFont(random, split, sizePx);
  context.textAlign = 'center';
  context.textBaseline = 'middle';
  context.fillStyle = tinted(random, ink);
  const extent = inkBounds(context, text, angle);
  const box = freePlace(context, random, { extent, taken, gapPx: sizePx });
  if (!box) return undefined;
  context.save();
  context.translate(box.left - extent.left, box.top - extent.top);
  context.rotate(angle);
  context.globalAlpha = between(random, OPACITY);
  context.fillText(text, 0, 0);
  context.restore();
  return { ...box, text };
}

/** Around the text's ink, from its anchor, once it is turned. */
function inkBounds(context: SKRSContext2D, text: string, angle: number): Box {
  const ink = context.measureText(text);
  const [cos, sin] = [Math.cos(angle), Math.sin(angle)];
  const corners = [-ink.actualBoundingBoxLeft, ink.actualBoundingBoxRight].flatMap((x) =>
    [-ink.actualBoundingBoxAscent, ink.actualBoundingBoxDescent].map((y) => [x * cos - y * sin, x * sin + y * cos]),
  );
  const [xs, ys] = [corners.map(([x]) => x as number), corners.map(([, y]) => y as number)];
  return { left: Math.min(...xs), top: Math.min(...ys), right: Math.max(...xs), bottom: Math.max(...ys) };
}

/** A frame, a disc or a bar. */
function drawShape(
  context: SKRSContext2D,
  random: Random,
  { ink, taken }: { ink: number; taken: readonly Box[] },
): Box | undefined {
  const size = () => context.canvas.height * between(random, SHAPES);
  const extent = { left: 0, top: 0, right: size(), bottom: size() };
  const kind = randomInt(random, 0, 2);
  const colour = tinted(random, ink);
  const box = freePlace(context, random, { extent, taken, gapPx: 10 });
  if (!box) return undefined;
  context.strokeStyle = colour;
  context.fillStyle = colour;
  context.lineWidth = 2;
  if (kind === 0) {
    context.strokeRect(box.left, box.top, extent.right, extent.bottom);
  } else if (kind === 1) {
    context.beginPath();
    context.arc((box.left + box.right) / 2, (box.top + box.bottom) / 2, extent.bottom / 2, 0, 2 * Math.PI);
    context.fill();
  } else {
    context.fillRect(box.left, box.top, extent.right, Math.min(4, extent.bottom));
  }
  return box;
}

/** Somewhere on the page, away from its edges and from what is `taken`. */
function freePlace(
  context: SKRSContext2D,
  random: Random,
  { extent, taken, gapPx }: { extent: Box; taken: readonly Box[]; gapPx: number },
): Box | undefined {
  const [width, height] = [extent.right - extent.left, extent.bottom - extent.top];
  const edgePx = context.canvas.height * 0.02;
  const [across, down] = [context.canvas.width - 2 * edgePx - width, context.canvas.height - 2 * edgePx - height];
  if (across < 0 || down < 0) return undefined;
  for (let i = 0; i < TRIES; i++) {
    const [left, top] = [edgePx + random() * across, edgePx + random() * down];
    const box = { left, top, right: left + width, bottom: top + height };
    const isFree = taken.every(
      (other) =>
        other.left > box.right + gapPx ||
        other.right < box.left - gapPx ||
        other.top > box.bottom + gapPx / 2 ||
        other.bottom < box.top - gapPx / 2,
    );
    if (isFree) return box;
  }
  return undefined;
}

function between(random: Random, { min, max }: { readonly min: number; readonly max: number }): number {
  return min + random() * (max - min);
}
