/** Accuracy against bytes as a picture of its own: bytes logarithmic, a line a boundary, dashed for pictures; bottlenecks as points. */
import { svgOf, svgText } from './svg.ts';

export interface RateLine {
  readonly name: string;
  readonly points: readonly { readonly tier: string; readonly bytes: number; readonly accuracy: number }[];
  readonly style: 'solid' | 'dashed' | 'points';
}

const PLOT = { width: 640, height: 360 };
const MARGIN = { left: 56, top: 34, right: 170, bottom: 40 };
/** Powers of ten of bytes, and the least accuracy that is shown: what has less is left out. */
const BYTES = { from: 2.5, to: 5.5 };
const TICKS = [500, 1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000, 200_000];
const ACCURACY = { from: 0.7, to: 1 };
const DASH = ' stroke-dasharray="5 4"';
const COLOURS = ['#7f8c8d', '#c2690f', '#3b5998', '#8e44ad', '#0f7b6c', '#c0392b', '#d4a017', '#34495e'];

/** @param float accuracy where nothing is lost */
export function ratePlot(title: string, lines: readonly RateLine[], float: number): string {
  const width = MARGIN.left + PLOT.width + MARGIN.right;
  const height = MARGIN.top + PLOT.height + MARGIN.bottom;
  const ticks = Array.from({ length: 7 }, (_, i) => ACCURACY.from + i / 20);
  const grid = [
    ...TICKS.map((bytes) => `M${x(bytes)} 0V${PLOT.height}`),
    ...ticks.map((at) => `M0 ${y(at)}H${PLOT.width}`),
  ];
  const content = [
    svgText(0, -14, title),
    `<path d="${grid.join('')}" stroke="#ddd"/>`,
    `<path d="M0 ${y(float)}H${PLOT.width}" stroke="#000"${DASH}/>`,
    svgText(PLOT.width + 8, y(float) + 4, 'full precision'),
    ...TICKS.map((bytes) => svgText(x(bytes) - 12, PLOT.height + 16, bytes < 1000 ? `${bytes}` : `${bytes / 1000}k`)),
    svgText(PLOT.width - 30, PLOT.height + 32, 'bytes a line'),
    ...ticks.map((at) => svgText(-40, y(at) + 4, `${Math.round(at * 100)} %`)),
    ...lines.map((line, i) => drawn(line, COLOURS[i % COLOURS.length] as string)),
    ...lines.map(({ name }, i) => {
      const at = PLOT.height - 16 * (lines.length - i);
      const colour = COLOURS[i % COLOURS.length];
      return `<path d="M${PLOT.width + 10} ${at}h18" stroke="${colour}" stroke-width="2"/>${svgText(PLOT.width + 34, at + 4, name)}`;
    }),
  ];
  const body = `<g transform="translate(${MARGIN.left} ${MARGIN.top})">${content.join('\n')}</g>`;
  return svgOf(title, width, height, [body]);
}

function drawn({ points, style }: RateLine, colour: string): string {
  const sorted = points.filter(({ accuracy }) => accuracy >= ACCURACY.from).sort((a, b) => a.bytes - b.bytes);
  const path = sorted.map(({ bytes, accuracy }) => `${x(bytes)} ${y(accuracy)}`).join('L');
  const marks = sorted.map(
    ({ tier, bytes, accuracy }) =>
      `<circle cx="${x(bytes)}" cy="${y(accuracy)}" r="${style === 'points' ? 5 : 3}" fill="${colour}"><title>${tier}: ${Math.round(bytes)} bytes</title></circle>` +
      svgText(x(bytes) + 4, y(accuracy) - 5, tier.replace(/^(jpeg|webp)-/, ''), colour),
  );
  const joined = `<path d="M${path}" fill="none" stroke="${colour}" stroke-width="1.6"${style === 'dashed' ? DASH : ''}/>`;
  return `${style === 'points' ? '' : joined}${marks.join('')}`;
}

function x(bytes: number): number {
  return Math.round(((Math.log10(bytes) - BYTES.from) / (BYTES.to - BYTES.from)) * PLOT.width);
}

function y(accuracy: number): number {
  return Math.round((1 - (accuracy - ACCURACY.from) / (ACCURACY.to - ACCURACY.from)) * PLOT.height);
}
