/**
 * How the compiler grows: a model of 100 MB read, simplified, cut and written, with the most memory that took; and graphs
 * of 10^2 to 10^5 nodes in several shapes through each stage. Every case runs in processes of its own, in turns, the
 * order turned round each time: `node dist/bench/scale.js [rounds]`. Draws docs/scale.svg.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { storeInt8 } from '../compiler/compress/store-weights.ts';
import { legalBoundaries } from '../compiler/cut/boundaries.ts';
import { extractChain } from '../compiler/cut/extract.ts';
import { flowOf } from '../compiler/cut/flow.ts';
import { costOf } from '../compiler/graph/cost.ts';
import type { Model } from '../compiler/graph/graph.ts';
import { verifyGraph } from '../compiler/graph/verify.ts';
import { median } from '../compiler/measure/fit.ts';
import { readModelFile, writeModelFile } from '../compiler/onnx/files.ts';
import { simplify } from '../compiler/passes/index.ts';
import { layers, SHAPES } from './scale-graphs.ts';
import { scalePlot } from './scale-plot.ts';
import { markdownTable } from './stats.ts';

const NODE_COUNTS = [100, 1_000, 10_000, 100_000];
const ROUNDS = 3;
/** A time below this is noise. */
const MS_MIN = 1;
const PLOT_FILE = 'docs/scale.svg';

/** Milliseconds of processor time by stage: those of the clock would tell who else uses the machine. */
type Times = Readonly<Record<string, number>>;

interface Run {
  readonly times: Times;
  readonly clockMs: number;
  readonly peakBytes: number;
}

const LARGE: Readonly<Record<string, () => Model>> = { nothing: () => layers(2, 0), large: () => layers(25, 1_000) };

const [what = '', path = '', shape = '', count = ''] = process.argv.slice(2);
if (what === 'run') process.stdout.write(JSON.stringify(run(path)));
else if (what === 'make') writeModelFile((LARGE[shape] ?? SHAPES[shape])?.(Number(count)) as Model, path);
else main(Number(what || ROUNDS));

function main(rounds: number): void {
  const folder = mkdtempSync(join(tmpdir(), 'tandem-scale-'));
  try {
    process.stdout.write(`${cpus()[0]?.model}, Node ${process.version}, medians of ${rounds}\n\n`);
    large(folder, rounds);
    growth(folder, rounds);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function large(folder: string, rounds: number): void {
  const files = Object.keys(LARGE).map((name) => made(folder, name, 0));
  const [base = [], all = []] = inTurns(files, rounds);
  const bytes = statSync(files[1] as string).size;
  const seconds = median(all.map(({ clockMs }) => clockMs)) / 1000;
  const extra = median(all.map(({ peakBytes }) => peakBytes)) - median(base.map(({ peakBytes }) => peakBytes));
  process.stdout.write(
    `A model of ${(bytes / 1e6).toFixed(0)} MB: read, cut, simplified and written in ${seconds.toFixed(2)} s, ` +
      `${(extra / bytes).toFixed(1)} times its size in memory beyond an empty run.\n\n`,
  );
}

function growth(folder: string, rounds: number): void {
  const cases = Object.keys(SHAPES).flatMap((shape) =>
    NODE_COUNTS.map((nodes) => ({ shape, nodes, file: made(folder, shape, nodes) })),
  );
  const runs = inTurns(
    cases.map(({ file }) => file),
    rounds,
  );
  const measured = cases.map((one, i) => ({ ...one, times: medians((runs[i] ?? []).map(({ times }) => times)) }));
  for (const shape of Object.keys(SHAPES)) {
    const points = measured.filter((one) => one.shape === shape);
    const stages = [...Object.keys(points[0]?.times ?? {}), 'all'];
    const rows = stages.map((stage) => {
      const ms = points.map(({ times }) => (stage === 'all' ? total(times) : (times[stage] as number)));
      const each = points.map(({ nodes }, i) => ((1000 * (ms[i] as number)) / nodes).toFixed(1));
      const slope = exponent(points.map(({ nodes }, i) => [nodes, ms[i] as number]));
      return [stage, ...each, slope?.toFixed(2) ?? '-'];
    });
    const head = [shape, ...points.map(({ nodes }) => `${nodes} nodes`), 'exponent'];
    process.stdout.write(`${markdownTable(head, rows)}\n\n`);
  }
  writeFileSync(PLOT_FILE, scalePlot(measured));
  process.stdout.write(
    `Microseconds of processor time a node; exponents from 1,000 nodes on, over times above ${MS_MIN} ms. ${PLOT_FILE} shows them.\n`,
  );
}

/** A model's file. Made elsewhere too: a child's peak of memory begins with what its parent has. */
function made(folder: string, shape: string, count: number): string {
  const file = join(folder, `${shape}-${count}.onnx`);
  child(['make', file, shape, String(count)]);
  return file;
}

function child(argv: readonly string[]): string {
  const { stdout, status } = spawnSync(process.execPath, [fileURLToPath(import.meta.url), ...argv], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  if (status !== 0) throw new Error(`failed: ${argv.join(' ')}`);
  return stdout.toString();
}

/** Runs of each file. */
function inTurns(files: readonly string[], rounds: number): Run[][] {
  const runs = files.map((): Run[] => []);
  for (let round = 0; round < rounds; round++) {
    const order = files.map((_, i) => (round % 2 === 0 ? i : files.length - 1 - i));
    for (const i of order) {
      runs[i]?.push(JSON.parse(child(['run', files[i] as string])) as Run);
    }
  }
  return runs;
}

function run(file: string): Run {
  const times: Record<string, number> = {};
  const timed = <T>(stage: string, work: () => T): T => {
    const start = process.cpuUsage();
    const result = work();
    const { user, system } = process.cpuUsage(start);
    times[stage] = (user + system) / 1000;
    return result;
  };
  const begin = performance.now();
  const model = timed('read', () => readModelFile(file));
  const { graph } = model;
  timed('verify', () => verifyGraph(graph, file));
  const flow = timed('flow', () => flowOf(graph));
  const cost = timed('cost', () => costOf(graph, graph.values));
  const { legal } = timed('boundaries of 1', () => legalBoundaries(flow, 1, cost.byNode));
  timed('boundaries of 2', () => legalBoundaries(flow, 2, cost.byNode));
  const middle = legal[Math.floor(legal.length / 2)];
  const { segments } = timed('cut', () => extractChain(graph, middle ? [middle.tensors] : []));
  timed('simplify', () => {
    for (const segment of segments) simplify(segment.graph);
  });
  timed('write', () => {
    for (const [i, segment] of segments.entries())
      writeModelFile({ ...model, graph: segment.graph }, `${file}.${i}.out`);
  });
  const clockMs = performance.now() - begin;
  const peakBytes = process.resourceUsage().maxRSS * 1024;
  timed('store in 8 bits', () => {
    for (const segment of segments) storeInt8(segment.graph);
  });
  return { times, clockMs, peakBytes };
}

function total(times: Times): number {
  return Object.values(times).reduce((sum, ms) => sum + ms, 0);
}

function medians(runs: readonly Times[]): Times {
  return Object.fromEntries(
    Object.keys(runs[0] ?? {}).map((stage) => [stage, median(runs.map((times) => times[stage] as number))]),
  );
}

/** Slope of time over nodes, both in logarithms, by least squares; undefined for fewer than two points that are no noise. */
function exponent(points: readonly (readonly [nodes: number, ms: number])[]): number | undefined {
  const logs = points
    .filter(([nodes, ms]) => nodes > 500 && ms >= MS_MIN)
    .map(([nodes, ms]) => [Math.log(nodes), Math.log(ms)] as const);
  if (logs.length < 2) return undefined;
  const mean = (at: 0 | 1) => logs.reduce((sum, point) => sum + point[at], 0) / logs.length;
  const [x, y] = [mean(0), mean(1)];
  const covariance = logs.reduce((sum, [a, b]) => sum + (a - x) * (b - y), 0);
  return covariance / logs.reduce((sum, [a]) => sum + (a - x) ** 2, 0);
}
