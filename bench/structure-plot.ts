/** Multiply-accumulates against lines that are read exactly, as a picture of its own: a line a technique. */
import { svgOf, svgText } from './svg.ts';

interface Curve {
  readonly name: string;
  readonly points: readonly { readonly share: number; readonly exactMatch: number }[];
}

const AREA = { left: 60, top: 24, width: 420, height: 240 };
const SHARES = { from: 0.4, to: 1 };
const MATCHES = { from: 0.5, to: 0.9 };
const COLOURS = ['#0f7b6c', '#c2690f', '#3b5998'];

export function structurePlot(curves: readonly Curve[]): string {
  const shares = [0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1];
  const matches = [0.5, 0.6, 0.7, 0.8, 0.9];
  const grid = [
    ...shares.map((share) => `M${x(share)} ${AREA.top}V${AREA.top + AREA.height}`),
    ...matches.map((match) => `M${AREA.left} ${y(match)}H${AREA.left + AREA.width}`),
  ];
  const lines = curves.map(({ name, points }, i) => {
    const colour = COLOURS[i % COLOURS.length] as string;
    const path = points.map(({ share, exactMatch }) => `${x(share)} ${y(exactMatch)}`).join('L');
    const dots = points.map(({ share, exactMatch }) => dot(share, exactMatch, colour));
    const entry = `<path d="M${AREA.left + 12} ${y(0.6) + i * 18}h18" stroke="${colour}" stroke-width="2"/>`;
    return [
      `<path d="M${path}" fill="none" stroke="${colour}" stroke-width="1.6"/>`,
      ...dots,
      ...[entry, svgText(AREA.left + 38, y(0.6) + i * 18 + 4, name)],
    ].join('');
  });
  const width = AREA.left + AREA.width + 24;
  const height = AREA.top + AREA.height + 48;
  return svgOf('Lines read exactly against multiply-accumulates kept', width, height, [
    `<path d="${grid.join('')}" stroke="#ddd"/>`,
    ...lines,
    ...shares.map((share) => svgText(x(share) - 12, AREA.top + AREA.height + 16, `${Math.round(100 * share)} %`)),
    ...matches.map((match) => svgText(AREA.left - 38, y(match) + 4, `${Math.round(100 * match)} %`)),
    svgText(AREA.left + 120, AREA.top + AREA.height + 36, 'multiply-accumulates of the backbone kept'),
    svgText(AREA.left - 38, 12, 'lines read exactly'),
  ]);
}

function dot(share: number, match: number, colour: string): string {
  return `<circle cx="${x(share)}" cy="${y(match)}" r="3" fill="${colour}"/>`;
}

function x(share: number): number {
  return Math.round(AREA.left + ((share - SHARES.from) / (SHARES.to - SHARES.from)) * AREA.width);
}

function y(match: number): number {
  const inside = Math.min(MATCHES.to, Math.max(MATCHES.from, match));
  return Math.round(AREA.top + (1 - (inside - MATCHES.from) / (MATCHES.to - MATCHES.from)) * AREA.height);
}
