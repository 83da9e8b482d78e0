/** The comparison as a picture of its own: bars of the first answer and of later ones, and every answer of a cold visit. */
import type { spread } from '../stats.ts';
import { svgOf } from '../svg.ts';
import type { Memory } from './visit.ts';
import type { Answer } from './visited.ts';

/** What a contender came to. */
export interface Measured {
  readonly name: string;
  /** Since the navigation: the median of all visits. */
  readonly firstMs: number;
  readonly firstMsOfAll: readonly number[];
  readonly firstDownBytes: number;
  /** Of answers one after another, once nothing more came. */
  readonly steadyMs: ReturnType<typeof spread>;
  readonly steady: readonly Answer[];
  /** Answers of a visit's first half minute, where one was watched; else the first alone. */
  readonly early: readonly Answer[];
  readonly upBytesPerAnswer: number;
  readonly downBytes: number;
  readonly memory: Memory;
  readonly scriptBytes: number;
  /** Share of the lines read without a mistake. */
  readonly exact: number;
  readonly segmentsAtMs: readonly number[];
}

const SIZE = { width: 860, height: 524 };
const COLOURS = ['#0f7b6c', '#7fb8ae', '#3b5998', '#c2690f', '#c0392b', '#6b4c9a'];
const BARS = { top: 62, row: 24, labels: 140, width: 240 };
const TIMELINE = { left: 60, top: 236, width: 770, height: 250 };
/** Powers of ten of milliseconds. */
const LATENCY = { from: 1.3, to: 4.6 };
const LATENCY_TICKS = [20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 30_000];

/** @param visitMs how much of the visit is shown */
export function sideBySidePlot(title: string, visitMs: number, measured: readonly Measured[]): string {
  const firsts = bars(
    'first answer, s since the navigation',
    measured.map(({ firstMs }) => ({ value: firstMs / 1000, words: (firstMs / 1000).toFixed(2) })),
  );
  const laters = bars(
    'later answers: p50, ms, and p95 as a line',
    measured.map(({ steadyMs: { p50, p95 } }) => ({
      ...{ value: p50, upTo: p95 },
      words: `${p50.toFixed(0)} / ${p95.toFixed(0)}`,
    })),
  );
  const names = measured.map(({ name }, i) => text(0, BARS.top + BARS.row * i + 12, name, colourOf(i)));
  const content = [
    text(20, 24, title, '#222', 14),
    group(20, 0, names),
    group(20 + BARS.labels, 0, firsts),
    group(20 + BARS.labels + BARS.width + 130, 0, laters),
    group(TIMELINE.left, TIMELINE.top, timeline(visitMs, measured)),
  ];
  return svgOf(title, SIZE.width, SIZE.height, content);
}

interface Bar {
  readonly value: number;
  readonly upTo?: number;
  readonly words: string;
}

function bars(heading: string, all: readonly Bar[]): string[] {
  const most = Math.max(...all.map(({ value, upTo }) => Math.max(value, upTo ?? 0)));
  const length = (value: number) => ((value / most) * BARS.width).toFixed(1);
  return [
    text(0, BARS.top - 12, heading),
    ...all.map(({ value, upTo, words }, i) => {
      const top = BARS.top + BARS.row * i;
      const bar = `<rect y="${top}" width="${length(value)}" height="16" fill="${colourOf(i)}"/>`;
      const line = upTo
        ? `<path d="M${length(value)} ${top + 8}H${length(upTo)}" stroke="${colourOf(i)}" stroke-width="2"/>`
        : '';
      return `${bar}${line}${text(Number(length(Math.max(value, upTo ?? 0))) + 6, top + 12, words)}`;
    }),
  ];
}

function timeline(visitMs: number, measured: readonly Measured[]): string[] {
  const { width, height } = TIMELINE;
  const x = (ms: number) => ((ms / visitMs) * width).toFixed(1);
  const y = (ms: number) => ((1 - (Math.log10(ms) - LATENCY.from) / (LATENCY.to - LATENCY.from)) * height).toFixed(1);
  const seconds = Array.from({ length: visitMs / 5000 + 1 }, (_, i) => 5000 * i);
  const grid = [...seconds.map((ms) => `M${x(ms)} 0V${height}`), ...LATENCY_TICKS.map((ms) => `M0 ${y(ms)}H${width}`)];
  const segments = measured[0]?.segmentsAtMs ?? [];
  return [
    text(0, -14, 'a cold visit: how long each answer took, against when it came'),
    `<path d="${grid.join('')}" stroke="#ddd"/>`,
    ...seconds.map((ms) => text(Number(x(ms)) - 8, height + 16, `${ms / 1000} s`)),
    ...LATENCY_TICKS.map((ms) => text(-42, Number(y(ms)) + 4, ms < 1000 ? `${ms} ms` : `${ms / 1000} s`)),
    ...segments.map((ms, i) => {
      const line = `<path d="M${x(ms)} 0V${height}" stroke="${colourOf(0)}" stroke-dasharray="2 4"/>`;
      return `${line}${text(Number(x(ms)) + 2, 10 + 11 * (i % 5), `segment ${i + 1}`, colourOf(0))}`;
    }),
    ...measured.map(({ name, early: shown }, i) => {
      const at = ({ beganMs, endedMs }: Answer) => `${x(endedMs)} ${y(endedMs - beganMs)}`;
      const path = `<path d="M${shown.map(at).join('L')}" fill="none" stroke="${colourOf(i)}" stroke-width="1.4"/>`;
      const dots = shown.map((answer) => {
        const [left, top] = at(answer).split(' ');
        return `<circle cx="${left}" cy="${top}" r="2" fill="${colourOf(i)}"/>`;
      });
      return shown.length === 0 ? '' : `<g><title>${name}</title>${path}${dots.join('')}</g>`;
    }),
  ];
}

function colourOf(i: number): string {
  return COLOURS[i % COLOURS.length] as string;
}

function group(left: number, top: number, content: readonly string[]): string {
  return `<g transform="translate(${left} ${top})">${content.join('\n')}</g>`;
}

function text(left: number, top: number, words: string, colour = '#222', size = 11): string {
  return `<text x="${left}" y="${top}" fill="${colour}" font-size="${size}">${words}</text>`;
}
