/** What boundaries give away against what hiding it costs, as a picture: a dot a way to send, its area its bytes, open where there is noise. */
import { accuracyDrop, PRIVACY_BAR } from '../compiler/privacy/bar.ts';
import type { PlanLeakage, PlanLeakageRow, PlanMeasured } from '../shared/plan.ts';
import { svgOf, svgText } from './svg.ts';

const PLOT = { width: 640, height: 340 };
const MARGIN = { left: 56, top: 34, right: 130, bottom: 44 };
/** Points of accuracy; near 0 is where it matters, so that the axis is one of square roots. */
const DROPS = [-0.02, 0, 0.008, 0.03, 0.1, 0.2, 0.4, 0.6, 0.9];
const LEAKAGES = [0, 0.25, 0.5, 0.75, 1];
const COLOURS = ['#7f8c8d', '#c2690f', '#c0392b', '#3b5998', '#0f7b6c', '#8e44ad'];

export function leakagePlot(title: string, leakage: PlanLeakage, metrics: PlanMeasured['metrics']): string {
  const width = MARGIN.left + PLOT.width + MARGIN.right;
  const height = MARGIN.top + PLOT.height + MARGIN.bottom;
  const most = Math.max(...leakage.rows.map(({ bytesMean }) => bytesMean));
  const grid = [
    ...DROPS.map((drop) => `M${x(drop)} 0V${PLOT.height}`),
    ...LEAKAGES.map((at) => `M0 ${y(at)}H${PLOT.width}`),
  ];
  const [barX, barY] = [x(PRIVACY_BAR.accuracyDropMax), y(PRIVACY_BAR.leakageMax)];
  const depths = [...new Set(leakage.rows.map(({ k }) => k))];
  const content = [
    svgText(0, -14, title),
    `<rect x="0" y="${barY}" width="${barX}" height="${PLOT.height - barY}" fill="#0f7b6c" opacity="0.12"/>`,
    `<path d="${grid.join('')}" stroke="#ddd"/>`,
    svgText(4, PLOT.height - 6, 'privacy mode'),
    ...DROPS.map((drop) => svgText(x(drop) - 8, PLOT.height + 16, `${Math.round(drop * 1000) / 10}`)),
    svgText(PLOT.width - 190, PLOT.height + 34, `points of ${metrics[0]?.name} lost by sending it so`),
    ...LEAKAGES.map((at) => svgText(-34, y(at) + 4, String(at))),
    ...[...leakage.rows]
      .sort((a, b) => b.bytesMean - a.bytesMean)
      .map((row) => dot(row, accuracyDrop(leakage, row, metrics), most)),
    ...depths.map((k, i) => svgText(PLOT.width + 14, 14 + 16 * i, `● k = ${k}`, COLOURS[k % COLOURS.length])),
    svgText(PLOT.width + 14, 14 + 16 * depths.length, '○ with noise'),
  ];
  const body = `<g transform="translate(${MARGIN.left} ${MARGIN.top})">${content.join('\n')}</g>`;
  return svgOf(title, width, height, [body]);
}

function dot({ k, tier, noise, leakage, bytesMean }: PlanLeakageRow, drop: number, most: number): string {
  const colour = COLOURS[k % COLOURS.length];
  const radius = (3 + 9 * Math.sqrt(bytesMean / most)).toFixed(1);
  const fill = noise ? 'fill="none"' : `fill="${colour}" fill-opacity="0.55"`;
  const told = `k = ${k}, ${tier}${noise ? `, ${noise.type} ${noise.scale}` : ''}: ${Math.round(bytesMean)} bytes`;
  return `<circle cx="${x(drop)}" cy="${y(leakage)}" r="${radius}" ${fill} stroke="${colour}"><title>${told}</title></circle>`;
}

function x(drop: number): number {
  const root = (value: number) => Math.sign(value) * Math.sqrt(Math.abs(value));
  const [from, to] = [root(DROPS[0] as number), root(DROPS.at(-1) as number)];
  const share = (root(drop) - from) / (to - from);
  return Math.round(Math.min(1, Math.max(0, share)) * PLOT.width);
}

function y(leakage: number): number {
  return Math.round((1 - leakage) * PLOT.height);
}
