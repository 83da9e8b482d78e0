/** Time against nodes as a picture of its own: logarithmic both ways, a panel a graph, a line a stage. */
import { svgOf, svgText } from './svg.ts';

interface Measured {
  readonly shape: string;
  readonly nodes: number;
  /** Milliseconds by stage. */
  readonly times: Readonly<Record<string, number>>;
}

const PANEL = { width: 260, height: 180, gapX: 24, gapY: 50 };
const MARGIN = { left: 66, top: 26 };
const COLUMNS = 3;
/** Powers of ten on the axes: nodes, and milliseconds. */
const NODES = { from: 2, to: 5 };
const MS = { from: -1, to: 4 };
const DASH = ' stroke-dasharray="4 4"';
const COLOURS = [
  ...['#0f7b6c', '#3b5998', '#c2690f', '#8e44ad', '#c0392b'],
  ...['#2980b9', '#7f8c8d', '#27ae60', '#d4a017', '#34495e'],
];

export function scalePlot(measured: readonly Measured[]): string {
  const shapes = [...new Set(measured.map(({ shape }) => shape))];
  const stages = Object.keys(measured[0]?.times ?? {});
  const panels = shapes.map((shape, i) => {
    const points = measured.filter((one) => one.shape === shape);
    return inCell(i, panel(shape, stages, points, i % COLUMNS === 0));
  });
  const rows = Math.ceil((shapes.length + 1) / COLUMNS);
  const width = MARGIN.left + COLUMNS * (PANEL.width + PANEL.gapX);
  const height = rows * (PANEL.height + PANEL.gapY);
  const content = [...panels, inCell(shapes.length, legend(stages))];
  return svgOf('Processor time against nodes, by stage', width, height, content);
}

function inCell(i: number, content: string): string {
  const left = MARGIN.left + (i % COLUMNS) * (PANEL.width + PANEL.gapX);
  const top = MARGIN.top + Math.floor(i / COLUMNS) * (PANEL.height + PANEL.gapY);
  return `<g transform="translate(${left} ${top})">${content}</g>`;
}

function panel(shape: string, stages: readonly string[], points: readonly Measured[], isFirst: boolean): string {
  const grid = [
    ...powers(NODES).map((power) => `M${x(10 ** power)} 0V${PANEL.height}`),
    ...powers(MS).map((power) => `M0 ${y(10 ** power)}H${PANEL.width}`),
  ];
  // One, ten and a hundred microseconds a node.
  const slopes = [-3, -2, -1].map((power) => {
    const [from, to] = [10 ** NODES.from, 10 ** NODES.to];
    return `M${x(from)} ${y(from * 10 ** power)}L${x(to)} ${y(to * 10 ** power)}`;
  });
  const lines = stages.map((stage, i) => {
    const path = points.map(({ nodes, times }) => `${x(nodes)} ${y(times[stage] ?? 0)}`).join('L');
    return `<path d="M${path}" fill="none" stroke="${colour(i)}" stroke-width="1.6"/>`;
  });
  const labels = powers(MS).map((power) => svgText(-60, y(10 ** power) + 4, `${10 ** power} ms`));
  return [
    svgText(0, -8, shape),
    `<path d="${grid.join('')}" stroke="#ddd"/>`,
    `<path d="${slopes.join('')}" stroke="#888"${DASH}/>`,
    ...lines,
    ...powers(NODES).map((power) => svgText(x(10 ** power) - 8, PANEL.height + 14, `1e${power}`)),
    ...(isFirst ? labels : []),
  ].join('');
}

function legend(stages: readonly string[]): string {
  const entry = (i: number, stroke: string, name: string, dash = '') =>
    `<path d="M20 ${i * 16}h18" stroke="${stroke}" stroke-width="2"${dash}/>${svgText(46, i * 16 + 4, name)}`;
  const last = entry(stages.length, '#888', 'slope 1: a time for each node', DASH);
  return [...stages.map((stage, i) => entry(i, colour(i), stage)), last].join('');
}

function powers({ from, to }: { from: number; to: number }): number[] {
  return Array.from({ length: to - from + 1 }, (_, i) => from + i);
}

function x(nodes: number): number {
  const power = Math.max(NODES.from, Math.log10(nodes));
  return Math.round(((power - NODES.from) / (NODES.to - NODES.from)) * PANEL.width);
}

function y(ms: number): number {
  const power = Math.max(MS.from, Math.log10(Math.max(ms, 1e-9)));
  return Math.round((1 - (power - MS.from) / (MS.to - MS.from)) * PANEL.height);
}

function colour(i: number): string {
  return COLOURS[i % COLOURS.length] as string;
}
