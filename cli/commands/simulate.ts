/** `tandem simulate`: schedulers on recorded and made-up networks, against the oracle that knows the future. */
import { writeFile } from 'node:fs/promises';
import { messageOf, TandemError } from '../../shared/errors.ts';
import { depthOf } from '../../shared/plan.ts';
import { ACCURACY_DROP_MAX } from '../../shared/schedule/table.ts';
import {
  type Bar,
  barsOf,
  compareOn,
  csvOf,
  DEVICES,
  fixedRateTrace,
  LINK_DEFAULTS,
  type Run,
  reportPage,
  type Summary,
  summarize,
  summarizeCollections,
  syntheticTraces,
  type Trace,
  timelineOf,
  WARM_UP,
  type WorldOptions,
} from '../../simulate/index.ts';
import { readArguments, wholeNumber } from '../arguments.ts';
import { stderrProgress } from '../progress.ts';
import { arrivalsOf, deviceOf, megabits, readMeasuredPlan, schedulersOf, serverOf } from '../simulate-options.ts';
import { formatTable } from '../table.ts';
import { readTraces } from '../trace-files.ts';

export const usage =
  'tandem simulate --plan F [--trace F|DIR...] [--synthetic N] [--rate MBIT...] [--others N...] [--clients N] [--requests N]\n' +
  `    [--interval MS] [--arrivals fixed|poisson|closed|F] [--overlap] [--deadline MS] [--device F|${Object.keys(DEVICES).join('|')}] [--server F] [--dip]\n` +
  '    [--floor K] [--schedulers NAME...] [--seed S] [--json] [--csv F] [--html F]';

const REQUESTS = 200;
const REQUESTS_MAX = 100_000;
const CLIENTS_MAX = 10_000;
const INTERVAL_MS = 1000;
const DEADLINE_MS = 2000;
const SYNTHETIC = 12;
/** Of links where others are the matter: DADS's Wi-Fi. */
const WIFI = { mbps: 18.88, roundTripMs: 20 };
/** Options that take all arguments up to the next option. */
const LISTS = ['--trace', '--rate', '--others', '--schedulers'];

export async function run(argv: readonly string[]): Promise<number> {
  const { values } = readArguments(
    spreadLists(argv),
    {
      plan: { type: 'string' },
      trace: { type: 'string', multiple: true },
      synthetic: { type: 'string' },
      rate: { type: 'string', multiple: true },
      others: { type: 'string', multiple: true },
      clients: { type: 'string' },
      requests: { type: 'string' },
      interval: { type: 'string' },
      arrivals: { type: 'string' },
      overlap: { type: 'boolean' },
      deadline: { type: 'string' },
      device: { type: 'string' },
      server: { type: 'string' },
      dip: { type: 'boolean' },
      floor: { type: 'string' },
      schedulers: { type: 'string', multiple: true },
      seed: { type: 'string' },
      json: { type: 'boolean' },
      csv: { type: 'string' },
      html: { type: 'string' },
    },
    [],
  );
  if (values.plan === undefined) throw new TandemError('USAGE', 'expected --plan F, the plan.json of a bundle');
  const plan = await readMeasuredPlan(values.plan);
  const within = (value: string | undefined, option: string, fallback: number, min: number, max: number) => {
    const number = wholeNumber(value, option) ?? fallback;
    if (number < min || number > max)
      throw new TandemError('USAGE', `expected ${option} from ${min} to ${max}, got ${number}`);
    return number;
  };
  const seed = within(values.seed, '--seed', 1, 0, 2 ** 31);
  // Figures are of what comes after the warm-up.
  const requests = within(values.requests, '--requests', REQUESTS, WARM_UP + 1, REQUESTS_MAX);
  const intervalMs = within(values.interval, '--interval', INTERVAL_MS, 0, 3_600_000);
  const names = schedulersOf(values.schedulers);
  if (values.overlap && values.arrivals === 'closed') {
    throw new TandemError(
      'USAGE',
      'expected --overlap with requests that do not wait for answers, got --arrivals closed',
    );
  }
  const others = (values.others ?? ['0']).map((value) => within(value, '--others', 0, 0, CLIENTS_MAX));
  const base: Omit<WorldOptions, 'trace' | 'others'> = {
    plan,
    device: await deviceOf(values.device, plan),
    server: await serverOf(values.server, values.dip ?? false),
    arrivals: await arrivalsOf(values.arrivals, intervalMs, requests),
    seed,
    requests,
    clients: within(values.clients, '--clients', 1, 1, CLIENTS_MAX),
    deadlineMs: within(values.deadline, '--deadline', DEADLINE_MS, 1, 3_600_000),
    accuracyDropMax: ACCURACY_DROP_MAX,
    floor: within(values.floor, '--floor', 0, 0, depthOf(plan)),
    ...(values.overlap && { overlaps: true }),
  };
  const traces = [
    ...(await readTraces(values.trace ?? [])),
    ...(values.rate ?? []).map((rate) => fixedRateTrace(megabits(rate))),
  ];
  const isBare = traces.length === 0 && values.others === undefined;
  traces.push(...syntheticTraces(within(values.synthetic, '--synthetic', isBare ? SYNTHETIC : 0, 0, 10_000), seed));
  if (traces.length === 0) traces.push(fixedRateTrace(WIFI.mbps, { ...LINK_DEFAULTS, ...WIFI }));
  const runs = runAll(base, traces, others, names);
  const report = { options: describeOptions(base, values.device, others), remarks: remarksOf(traces) };
  const collections = summarizeCollections(runs);
  const summaries = { collections, traces: summarize(runs), bars: barsOf(collections) };
  if (values.csv !== undefined) await write(values.csv, csvOf(summaries.traces));
  const isCrowded = base.clients > 1;
  if (values.html !== undefined) await write(values.html, reportPage(runs, { ...pageText(report), isCrowded }));
  const text = values.json
    ? JSON.stringify({ ...report, ...summaries, ...(isCrowded && { timelines: timelinesOf(runs) }) })
    : [tableOf(collections), ...report.remarks, ...barLines(summaries.bars)].join('\n');
  process.stdout.write(`${text}\n`);
  return 0;
}

function pageText({ options, remarks }: { options: Record<string, unknown>; remarks: readonly string[] }) {
  const about = Object.entries(options).map(
    ([name, value]) => `${name}: ${typeof value === 'string' ? value : JSON.stringify(value)}`,
  );
  return { title: `${options['plan']}: schedulers on simulated networks`, about, remarks };
}

function timelinesOf(runs: readonly Run[]) {
  return runs.map(({ options: { trace }, scheduler, result }) => ({
    ...{ collection: trace.collection, trace: trace.name, scheduler },
    ...timelineOf(result),
  }));
}

/** `--trace A B` -> `--trace=A --trace=B`, as shells expand patterns. Throws USAGE for a list of nothing. */
function spreadLists(argv: readonly string[]): string[] {
  let list: string | null = null;
  return argv.flatMap((argument, i) => {
    if (argument.startsWith('--')) {
      list = LISTS.includes(argument) ? argument : null;
      if (list === null) return [argument];
      if (argv[i + 1]?.startsWith('--') !== false) throw new TandemError('USAGE', `expected something after ${list}`);
      return [];
    }
    return [list === null ? argument : `${list}=${argument}`];
  });
}

function runAll(
  base: Omit<WorldOptions, 'trace' | 'others'>,
  traces: readonly Trace[],
  others: readonly number[],
  names: readonly string[],
): Run[] {
  const progress = stderrProgress();
  const cases = traces.flatMap((trace) => others.map((count) => ({ trace, count })));
  return cases.flatMap(({ trace, count }, i) => {
    const collection = count === 0 && others.length === 1 ? trace.collection : `${trace.collection}, ${count} others`;
    const runs = compareOn({ ...base, trace: { ...trace, collection }, others: count }, names);
    progress({ stage: 'simulating', done: i + 1, total: cases.length });
    return runs;
  });
}

function describeOptions(
  base: Omit<WorldOptions, 'trace' | 'others'>,
  device: string | undefined,
  others: readonly number[],
) {
  const { plan, arrivals, seed, requests, clients, deadlineMs, accuracyDropMax, floor, server, overlaps } = base;
  const { workers, queueDepthMax } = server;
  const of = { plan: plan.name, planId: plan.id, device: device ?? 'phone', server: { workers, queueDepthMax } };
  const when = { arrivals: arrivals.type, ...(overlaps && { overlaps }) };
  return { ...of, ...when, seed, requests, clients, others, deadlineMs, accuracyDropMax, floor };
}

function remarksOf(traces: readonly Trace[]): string[] {
  const byRemark = new Map<string, Set<string>>();
  for (const { collection, remarks } of traces) {
    for (const remark of remarks) byRemark.set(remark, (byRemark.get(remark) ?? new Set()).add(collection));
  }
  return [...byRemark].map(([remark, collections]) => `${[...collections].join(', ')}: ${remark}`);
}

function tableOf(summaries: readonly Summary[]): string {
  const fixed = (value: number, digits: number) => (Number.isFinite(value) ? value.toFixed(digits) : '-');
  const percent = (share: number) => fixed(share * 100, 1);
  const head = [
    'collection',
    'traces',
    'scheduler',
    'regret %: mean',
    'p50',
    'p95',
    'p99',
    'to oracle %: mean',
    'p50',
    'ms: mean',
    'p50',
    'p95',
    'p99',
  ];
  return formatTable(
    [...head, 'missed %', 'late %', 'offloaded %', 'kB up', 'J', 'in 90 %'],
    summaries.map(({ collection, trace, scheduler, settled, toOracle, late, offloaded, bytesUp, energyJ, within }) => [
      ...[collection, trace.replace(' traces', ''), scheduler],
      ...[settled.regret.mean, settled.regret.p50, settled.regret.p95, settled.regret.p99].map(percent),
      ...[toOracle.mean, toOracle.p50].map(percent),
      ...[settled.latencyMs.mean, settled.latencyMs.p50, settled.latencyMs.p95, settled.latencyMs.p99].map((ms) =>
        fixed(ms, 0),
      ),
      ...[
        percent(settled.missed),
        percent(late),
        percent(offloaded),
        (bytesUp / 1000).toFixed(1),
        energyJ.toFixed(2),
        within === null ? '' : percent(within),
      ],
    ]),
  );
}

/** What ours is held to and does not reach, as one line a collection. */
function barLines(bars: readonly Bar[]): string[] {
  const text = ({ name, unit, reached, limit }: Bar) => {
    const [value, most] = [reached, limit].map((one) =>
      unit === 'share' ? `${(one * 100).toFixed(1)} %` : `${one.toFixed(1)} ms`,
    );
    return `${name}: ${value}, not ${most}`;
  };
  const missed = bars.filter(({ holds }) => !holds);
  const lines = [...new Set(missed.map(({ collection }) => collection))].map(
    (name) =>
      `${name}: ${missed
        .filter(({ collection }) => collection === name)
        .map(text)
        .join('; ')}`,
  );
  return bars.length === 0 ? [] : [`tandem reaches ${bars.length - missed.length} of ${bars.length} bars`, ...lines];
}

async function write(path: string, content: string): Promise<void> {
  await writeFile(path, content).catch((error: unknown) => {
    throw new TandemError('NOT_FOUND', `cannot write ${path}: ${messageOf(error)}`, { cause: error });
  });
}
