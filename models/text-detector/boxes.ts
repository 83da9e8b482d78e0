/**
 * From a map of how likely each pixel is text to boxes around the lines. The map shows lines shrunk, so that neighbours
 * stay apart; what is connected in it is a line, and is grown back (DB: Liao et al., "Real-time Scene Text Detection with
 * Differentiable Binarization", AAAI 2020). Boxes are upright rectangles: enough for lines that are nearly level.
 * Pure, and used unchanged by the browser, the compiler and the tests.
 */

/** Upright rectangle in pixels; right and bottom are the first that are outside. */
export interface Box {
  readonly left: number;
  readonly top: number;
  readonly right: number;
  readonly bottom: number;
}

export interface TextBox extends Box {
  /** Mean probability of the line's pixels in the map, in [0, 1]. */
  readonly score: number;
}

export interface ProbabilityMap {
  readonly width: number;
  readonly height: number;
  /** Rows of probabilities, width * height of them. */
  readonly data: ArrayLike<number>;
}

/** What PP-OCR decodes its detector with. */
const PIXEL_MIN = 0.3;
const SCORE_MIN = 0.6;
const SIDE_MIN_PX = 3;
const UNCLIP_RATIO = 1.5;
/** Lines of one picture; the rest of a map that is nothing but specks is left alone. */
const LINES_MAX = 1000;

/**
 * The lines of a map, from the top down, at its own resolution.
 * @throws RangeError for a map that is not as large as it says
 */
export function findBoxes(map: ProbabilityMap): TextBox[] {
  const { width, height, data } = map;
  if (data.length !== width * height) {
    throw new RangeError(`expected a map of ${width} x ${height} = ${width * height} pixels, got ${data.length}`);
  }
  const boxes: TextBox[] = [];
  const seen = new Uint8Array(data.length);
  for (let start = 0; start < data.length && boxes.length < LINES_MAX; start++) {
    if (seen[start] === 1 || !isText(data[start])) continue;
    const { core, score } = component(map, seen, start);
    if (Math.min(core.right - core.left, core.bottom - core.top) < SIDE_MIN_PX || score < SCORE_MIN) continue;
    boxes.push({ ...unclipped(core, width, height), score });
  }
  return boxes.sort((a, b) => a.top - b.top || a.left - b.left);
}

/** NaN is no text. */
function isText(probability: number | undefined): boolean {
  return probability !== undefined && probability > PIXEL_MIN;
}

/** What hangs together with a pixel, by sides or corners; marks it as seen. */
function component(
  { width, height, data }: ProbabilityMap,
  seen: Uint8Array,
  start: number,
): { core: Box; score: number } {
  const bounds = { left: width, top: height, right: 0, bottom: 0 };
  const pending = [start];
  let [sum, count] = [0, 0];
  seen[start] = 1;
  for (let at = pending.pop(); at !== undefined; at = pending.pop()) {
    const x = at % width;
    const y = (at - x) / width;
    bounds.left = Math.min(bounds.left, x);
    bounds.top = Math.min(bounds.top, y);
    bounds.right = Math.max(bounds.right, x + 1);
    bounds.bottom = Math.max(bounds.bottom, y + 1);
    sum += data[at] as number;
    count++;
    for (let row = Math.max(0, y - 1); row <= Math.min(height - 1, y + 1); row++) {
      for (let column = Math.max(0, x - 1); column <= Math.min(width - 1, x + 1); column++) {
        const next = row * width + column;
        if (seen[next] === 1 || !isText(data[next])) continue;
        seen[next] = 1;
        pending.push(next);
      }
    }
  }
  return { core: bounds, score: sum / count };
}

/** Grown on all sides by area * ratio / perimeter, as far as the map goes. */
function unclipped({ left, top, right, bottom }: Box, width: number, height: number): Box {
  const [coreWidth, coreHeight] = [right - left, bottom - top];
  const distance = (coreWidth * coreHeight * UNCLIP_RATIO) / (2 * (coreWidth + coreHeight));
  return {
    left: Math.max(0, left - distance),
    top: Math.max(0, top - distance),
    right: Math.min(width, right + distance),
    bottom: Math.min(height, bottom + distance),
  };
}
