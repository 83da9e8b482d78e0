/**
 * The SDK beside what a team would do otherwise: the same lines, model and link, each contender in a browser that has nothing of
 * it yet. `node dist/bench/side-by-side.js [lines] [svg]`
 */
import { writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { findBrowser } from '../cli/browser.ts';
import { percentile } from '../compiler/measure/fit.ts';
import { textLines } from '../models/ocr-line/lines.ts';
import { ocrLineRecipe } from '../models/ocr-line/recipe.ts';
import { BUNDLE_DIR, demoBundle, ROOT } from './bundle.ts';
import { launch } from './side-by-side/browser.ts';
import { type Measured, sideBySidePlot } from './side-by-side/plot.ts';
import { type Contender, openStage } from './side-by-side/stage.ts';
import type { Visit } from './side-by-side/visit.ts';
import { visit } from './side-by-side/visit.ts';
import type { Task } from './side-by-side/visited.ts';
import { markdownTable, spread } from './stats.ts';

const LINES = Number(process.argv[2] ?? 60);
const SVG = process.argv[3];
/** Other lines than the committed measurements have. */
const SEED = 21;
/** 4 Mbit/s each way, and 50 ms there and back. */
const CONDITIONS = { delayMs: 25, upBytesPerS: 500_000, downBytesPerS: 500_000 };
const FREE = { delayMs: 0, upBytesPerS: Number.POSITIVE_INFINITY, downBytesPerS: Number.POSITIVE_INFINITY };
const VISIT_MS = 30_000;
const EVERY_MS = 500;
/** First answers of each contender; those that load all before take half a minute each. */
const ROUNDS = { quick: 7, slow: 3 };

const began = performance.now();
await demoBundle();
const lines: { text: string; picture: Parameters<typeof openStage>[0]['pictures'][number] }[] = [];
for await (const line of textLines('test', LINES, SEED)) lines.push(line);
const path = findBrowser(undefined);
if (path === undefined) throw new Error('no Chromium here: CHROMIUM_PATH names one');
const recipe = ocrLineRecipe(undefined);
const stage = await openStage({
  root: ROOT,
  bundle: BUNDLE_DIR,
  recipe,
  pictures: lines.map(({ picture }) => picture),
});
const browser = await launch(path);

const firstLine: Task = { ...stage.scene, visitMs: 0, everyMs: EVERY_MS, steady: 0 };
const wholeVisit: Task = { ...firstLine, visitMs: VISIT_MS, steady: LINES };
const visits = new Map<string, { whole: Visit | null; all: Visit[] }>();
for (const contender of stage.contenders) {
  visits.set(contender.name, { whole: null, all: [] });
  // Servers and the browser's own caches of compiled code are as warm for one as for the other.
  await visit(browser, contender, firstLine, FREE);
}
for (let round = 0; round < ROUNDS.quick; round++) {
  const order = round % 2 === 0 ? stage.contenders : stage.contenders.toReversed();
  for (const contender of order) if (round < roundsOf(contender)) await visitOnce(contender, round === 1);
}
await browser.close();
await stage.close();

const measured = stage.contenders.map(({ name, page }): Measured => {
  const { whole, all } = visits.get(name) as { whole: Visit; all: Visit[] };
  const steady = whole.answers.filter(({ isSteady }) => isSteady);
  const early = whole.answers.filter(({ isSteady, endedMs }) => !isSteady && endedMs <= VISIT_MS);
  const [first, settled, end] = (['first', 'settled', 'end'] as const).map((mark) => whole.passed[mark]);
  if (!first || !settled || !end) throw new Error(`${name} did not come to its end`);
  return {
    name,
    firstMs: median(all.map(({ answers }) => answers[0]?.endedMs ?? Number.NaN)),
    firstMsOfAll: all.map(({ answers }) => answers[0]?.endedMs ?? Number.NaN),
    firstDownBytes: median(all.map(({ passed }) => passed.first?.down ?? Number.NaN)),
    steadyMs: spread(steady.map(tookMs)),
    earlyMs: early.length === 0 ? Number.NaN : median(early.map(tookMs)),
    earlyCount: early.length,
    upBytesPerAnswer: (end.up - settled.up) / steady.length,
    downBytes: end.down,
    memory: whole.memory,
    scriptBytes: stage.sites.scriptBytes[page],
    exact: steady.filter(({ line, text }) => text === lines[line]?.text).length / steady.length,
    answers: whole.answers,
    settledMs: whole.settledMs ?? Number.NaN,
    segmentsAtMs: whole.segmentsAtMs,
  };
});
const [tandem, cloudOnly, upload] = measured as [Measured, Measured, Measured];
if (SVG) writeFileSync(SVG, sideBySidePlot(`${LINES} lines over 4 Mbit/s and 50 ms`, VISIT_MS, measured));
print();
process.exit();

function roundsOf({ page }: Contender): number {
  return page === 'local' ? ROUNDS.slow : ROUNDS.quick;
}

async function visitOnce(contender: Contender, isWhole: boolean): Promise<void> {
  if (process.stderr.isTTY) process.stderr.write(`\r${contender.name.padEnd(20)}`);
  const made = await visit(browser, contender, isWhole ? wholeVisit : firstLine, CONDITIONS);
  const known = visits.get(contender.name);
  known?.all.push(made);
  if (known && isWhole) known.whole = made;
}

function print(): void {
  const out = (text: string) => process.stdout.write(`${text}\n`);
  const seconds = (ms: number) => (ms / 1000).toFixed(2);
  const kilobytes = (bytes: number) => (bytes / 1e3).toFixed(bytes < 1e5 ? 1 : 0);
  const megabytes = (bytes: number) => (bytes / 1e6).toFixed(1);
  out(`${cpus().length} x ${cpus()[0]?.model}, Chromium ${browser.version()}, ${LINES} lines, seed ${SEED}\n`);
  const rows: [string, (one: Measured) => string][] = [
    [
      'first answer, s, median (least to most)',
      ({ firstMs, firstMsOfAll }) =>
        `${seconds(firstMs)} (${seconds(Math.min(...firstMsOfAll))} to ${seconds(Math.max(...firstMsOfAll))})`,
    ],
    ['answers in the first 30 s', ({ earlyCount }) => String(earlyCount)],
    ['their p50, ms', ({ earlyMs }) => earlyMs.toFixed(0)],
    ['p50 / p95 when all is there, ms', ({ steadyMs: { p50, p95 } }) => `${p50.toFixed(0)} / ${p95.toFixed(0)}`],
    ['kB up an answer then', ({ upBytesPerAnswer }) => kilobytes(upBytesPerAnswer)],
    ['kB down before the first answer', ({ firstDownBytes }) => kilobytes(firstDownBytes)],
    ['MB down in all', ({ downBytes }) => megabytes(downBytes)],
    ['lines read exactly, %', ({ exact }) => (100 * exact).toFixed(1)],
    ['own JavaScript, kB in gzip', ({ scriptBytes }) => kilobytes(scriptBytes)],
    [
      'JS heap / wasm / process, MB',
      ({ memory }) => [memory.jsHeap, memory.wasm, memory.process].map(megabytes).join(' / '),
    ],
  ];
  out(
    markdownTable(
      ['', ...measured.map(({ name }) => name)],
      rows.map(([name, cell]) => [name, ...measured.map(cell)]),
    ),
  );
  const ratio = (one: Measured, other: Measured) => (one.firstMs / other.firstMs).toFixed(2);
  out(
    `\nFirst answer, tandem over upload: ${ratio(tandem, upload)} (aim: at most 1.2); over tandem, cloud only: ${ratio(tandem, cloudOnly)}`,
  );
  out(`Segments ready after ${tandem.segmentsAtMs.map(seconds).join(', ')} s`);
  for (let from = 0; from < VISIT_MS; from += 5000) {
    const then = tandem.answers.filter(
      ({ isSteady, beganMs }) => !isSteady && beganMs >= from && beganMs < from + 5000,
    );
    out(`${from / 1000} to ${from / 1000 + 5} s: ${mixOf(then)}`);
  }
  out(`when all is there: ${mixOf(tandem.answers.filter(({ isSteady }) => isSteady))}`);
  out(`\n${((performance.now() - began) / 1000).toFixed(0)} s`);
}

/** `k = 0: 80 %, k = 5: 20 %` */
function mixOf(answers: Measured['answers']): string {
  const ks = [...new Set(answers.map(({ k }) => k))].toSorted((a, b) => (a ?? 0) - (b ?? 0));
  const share = (k: number | null) => answers.filter((answer) => answer.k === k).length / answers.length;
  return ks.map((k) => `k = ${k}: ${(100 * share(k)).toFixed(0)} %`).join(', ') || 'no answer';
}

function tookMs({ beganMs, endedMs }: Measured['answers'][number]): number {
  return endedMs - beganMs;
}

function median(values: readonly number[]): number {
  return percentile(values, 0.5);
}
