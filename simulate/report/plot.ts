/** Lines over an x axis as SVG text. */

export interface Series {
  readonly name: string;
  readonly color: string;
  readonly points: readonly (readonly [x: number, y: number])[];
}

export interface Plot {
  /** What it shows, for those who cannot see it. */
  readonly label: string;
  readonly x: Axis;
  readonly y: Axis;
  readonly series: readonly Series[];
}

export interface Axis {
  readonly title: string;
  readonly min: number;
  readonly max: number;
  readonly ticks: readonly number[];
  /** Where on the axis a value is; by default evenly. */
  readonly scale?: (value: number) => number;
  readonly text?: (value: number) => string;
}

const [WIDTH, HEIGHT] = [860, 260];
const [LEFT, RIGHT, TOP, BOTTOM] = [52, 110, 10, 34];

/** An SVG, in a box that scrolls where the page is narrower than can be read. */
export function plotSvg({ label, x, y, series }: Plot): string {
  const px = place(x, LEFT, WIDTH - RIGHT);
  const py = place(y, HEIGHT - BOTTOM, TOP);
  const text = (axis: Axis, value: number) => escapeHtml(axis.text?.(value) ?? String(value));
  const grid = [
    ...x.ticks.map((value) => {
      const at = px(value);
      return `<line x1="${at}" x2="${at}" y1="${TOP}" y2="${HEIGHT - BOTTOM}"/><text x="${at}" y="${HEIGHT - BOTTOM + 14}" text-anchor="middle">${text(x, value)}</text>`;
    }),
    ...y.ticks.map((value) => {
      const at = py(value);
      return `<line x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${at}" y2="${at}"/><text x="${LEFT - 6}" y="${at + 4}" text-anchor="end">${text(y, value)}</text>`;
    }),
  ];
  const lines = series.map(({ name, color, points }, i) => {
    const path = points.map(([a, b]) => `${px(a)},${py(b)}`).join(' ');
    const legendY = TOP + 12 + 16 * i;
    return `<polyline points="${path}" fill="none" stroke="${color}" stroke-width="1.5"/><text x="${WIDTH - RIGHT + 8}" y="${legendY}" style="fill:${color}">${escapeHtml(name)}</text>`;
  });
  return `<div class="wide"><svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${escapeHtml(label)}">
<g class="grid">${grid.join('')}</g>${lines.join('')}
<text x="${(LEFT + WIDTH - RIGHT) / 2}" y="${HEIGHT - 4}" text-anchor="middle">${escapeHtml(x.title)}</text>
<text x="12" y="${HEIGHT / 2}" text-anchor="middle" transform="rotate(-90 12 ${HEIGHT / 2})">${escapeHtml(y.title)}</text>
</svg></div>`;
}

/** Value -> pixels, to a tenth. */
function place({ min, max, scale = (value) => value }: Axis, from: number, to: number): (value: number) => number {
  const [low, high] = [scale(min), scale(max)];
  return (value) => {
    const share = (scale(Math.min(max, Math.max(min, value))) - low) / (high - low || 1);
    return Math.round((from + share * (to - from)) * 10) / 10;
  };
}

/** Some five round numbers from 0 to the first that is no less. */
export function roundAxis(most: number): Pick<Axis, 'min' | 'max' | 'ticks'> {
  const rough = Math.max(most, 1e-9) / 5;
  const magnitude = 10 ** Math.floor(Math.log10(rough));
  const step = ([1, 2, 5, 10].find((factor) => factor * magnitude >= rough) ?? 10) * magnitude;
  const count = Math.max(1, Math.ceil(most / step));
  const ticks = Array.from({ length: count + 1 }, (_, i) => Number((i * step).toPrecision(6)));
  return { min: 0, max: ticks.at(-1) as number, ticks };
}

export function escapeHtml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
}
