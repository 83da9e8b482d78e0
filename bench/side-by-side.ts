/**
 * The SDK beside what a team would do otherwise: the same lines, model and link, each contender in a browser that has nothing of
 * it yet. `node dist/bench/side-by-side.js [lines] [svg]`
 */
import { writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { findBrowser } from '../cli/browser.ts';
import { median } from '../compiler/measure/fit.ts';
import { type LabelledLine, textLines } from '../models/ocr-line/lines.ts';
import { ocrLineRecipe } from '../models/ocr-line/recipe.ts';
import { BUNDLE_DIR, demoBundle, ROOT } from './bundle.ts';
import { launch } from './side-by-side/browser.ts';
import { type Measured, sideBySidePlot } from './side-by-side/plot.ts';
import type { PageName } from './side-by-side/sites.ts';
import { openStage } from './side-by-side/stage.ts';
import { type Memory, type Visit, visit } from './side-by-side/visit.ts';
import type { Answer, Mark, Task } from './side-by-side/visited.ts';
import { markdownTable, spread } from './stats.ts';

const LINES = Number(process.argv[2] ?? 60);
const SVG = process.argv[3];
/** Other lines than the committed measurements have. */
const SEED = 21;
/** What stands before the link: an eighth of a second. */
const QUEUE_BYTES = 64 * 1024;
/** 4 Mbit/s each way, and 50 ms there and back. */
const CONDITIONS = { delayMs: 25, upBytesPerS: 500_000, downBytesPerS: 500_000, queueBytes: QUEUE_BYTES };
const FREE = {
  ...{ delayMs: 0, queueBytes: Number.POSITIVE_INFINITY },
  ...{ upBytesPerS: Number.POSITIVE_INFINITY, downBytesPerS: Number.POSITIVE_INFINITY },
};
const VISIT_MS = 30_000;
const EVERY_MS = 500;
/** Visits that stay until all is there and then read their share of the lines, and visits for a first answer alone. */
const ROUNDS = { long: 3, first: 8 };
/** Lines that servers have read before anything counts: they have been up for a while. */
const SERVED_BEFORE = 100;
/** The long visit that begins with half a minute of reading. */
const WATCHED_ROUND = 1;

/** Pages that read nothing before they have all. */
const ALL_LOCAL: readonly PageName[] = ['local', 'transformers'];

const began = performance.now();
await demoBundle();
const lines: LabelledLine[] = [];
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
// After the browser, which would be given as much: this process is the link.
await import('./side-by-side/own-processor.ts');

const firstLine: Task = { ...stage.scene, visitMs: 0, everyMs: EVERY_MS, steadyFrom: 0, steady: 0 };
const visits = new Map<string, Visit[]>(stage.contenders.map(({ name }) => [name, []]));
// Servers and the browser's own caches are as warm for one as for the other.
for (const contender of stage.contenders) {
  const isServed = contender.name === 'tandem, cloud only' || contender.name === 'upload';
  await visit(browser, contender, { ...firstLine, steady: isServed ? SERVED_BEFORE : 0 }, FREE);
}
for (let round = 0; round < ROUNDS.long + ROUNDS.first; round++) {
  for (const contender of round % 2 === 0 ? stage.contenders : stage.contenders.toReversed()) {
    const isLong = round < ROUNDS.long;
    // Half a minute until they have loaded all: no time for more of it.
    if (!isLong && ALL_LOCAL.includes(contender.page)) continue;
    if (process.stderr.isTTY) process.stderr.write(`\r${round + 1}: ${contender.name.padEnd(20)}`);
    const steadyFrom = shareFrom(round);
    const isWatched = round === WATCHED_ROUND && contender.name !== 'tandem, cloud only';
    const longVisit: Task = {
      ...firstLine,
      visitMs: isWatched ? VISIT_MS : 0,
      steadyFrom,
      steady: shareFrom(round + 1) - steadyFrom,
    };
    visits.get(contender.name)?.push(await visit(browser, contender, isLong ? longVisit : firstLine, CONDITIONS));
  }
}
await browser.close();
await stage.close();

const measured = stage.contenders.map(({ name, page }): Measured => {
  const all = visits.get(name) ?? [];
  const long = all.slice(0, ROUNDS.long);
  const watched = long[WATCHED_ROUND] as Visit;
  const steady = long.flatMap(({ answers }) => answers.filter(({ isSteady }) => isSteady));
  const early = watched.answers.filter(({ isSteady, endedMs }) => !isSteady && endedMs <= VISIT_MS);
  const firsts = all.map(({ answers }) => answers[0]?.endedMs ?? Number.NaN);
  const bytes = (one: Visit, mark: Mark) => one.passed[mark] ?? { up: Number.NaN, down: Number.NaN };
  const steadyUp = long.map((one) => bytes(one, 'end').up - bytes(one, 'settled').up);
  const memory = (part: keyof Memory) => median(long.map((one) => one.memory[part]));
  return {
    ...{ name, steady, firstMs: median(firsts), firstMsOfAll: firsts },
    firstDownBytes: median(all.map((one) => bytes(one, 'first').down)),
    steadyMs: spread(steady.map(tookMs)),
    early,
    upBytesPerAnswer: steadyUp.reduce((sum, up) => sum + up, 0) / steady.length,
    downBytes: bytes(watched, 'end').down,
    memory: { jsHeap: memory('jsHeap'), wasm: memory('wasm'), process: memory('process') },
    scriptBytes: stage.sites.scriptBytes[page],
    exact: steady.filter(({ line, text }) => text === lines[line]?.text).length / steady.length,
    segmentsAtMs: watched.segmentsAtMs,
  };
});
const [tandem, cloudOnly, upload] = measured as [Measured, Measured, Measured];
if (SVG) writeFileSync(SVG, sideBySidePlot(`${LINES} lines over 4 Mbit/s and 50 ms`, VISIT_MS, measured));
print();
process.exit();

/** The first of the lines that a long visit reads in the end. */
function shareFrom(round: number): number {
  return Math.round((round * LINES) / ROUNDS.long);
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
    ['answers in the first 30 s, of 60 asked for', ({ early }) => (early.length > 1 ? String(early.length) : '')],
    ['their p50, ms', ({ early }) => (early.length > 1 ? median(early.map(tookMs)).toFixed(0) : '')],
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
  out(`\nFirst answer, tandem over upload: ${ratio(tandem, upload)} (aim: at most 1.2)`);
  out(`First answer, tandem over tandem, cloud only: ${ratio(tandem, cloudOnly)}`);
  out(`Segments ready after ${tandem.segmentsAtMs.map(seconds).join(', ')} s`);
  for (let from = 0; from < VISIT_MS; from += 5000) {
    const then = tandem.early.filter(({ beganMs }) => beganMs >= from && beganMs < from + 5000);
    out(`${from / 1000} to ${from / 1000 + 5} s: ${mixOf(then)}`);
  }
  out(`when all is there: ${mixOf(tandem.steady)}`);
  out(`\n${((performance.now() - began) / 1000).toFixed(0)} s`);
}

/** `k = 0: 80 %, k = 5: 20 %` */
function mixOf(answers: readonly Answer[]): string {
  const ks = [...new Set(answers.map(({ k }) => k))].toSorted((a, b) => (a ?? 0) - (b ?? 0));
  const share = (k: number | null) => answers.filter((answer) => answer.k === k).length / answers.length;
  return ks.map((k) => `k = ${k}: ${(100 * share(k)).toFixed(0)} %`).join(', ') || 'no answer';
}

function tookMs({ beganMs, endedMs }: Answer): number {
  return endedMs - beganMs;
}
