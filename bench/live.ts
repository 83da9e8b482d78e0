/**
 * Whether the simulator tells the truth: the same requests under the same policies, by the real client and gateway through the link
 * shaper and in the simulator, on two traces. `node dist/bench/live.js [requests] [trace trace]`; exit 1 where a mean is off by more
 * than 15 %, or policies rank otherwise.
 */
import { existsSync } from 'node:fs';
import { cpus, loadavg } from 'node:os';
import { join } from 'node:path';
import { readTraces } from '../cli/trace-files.ts';
import { textLines } from '../models/ocr-line/lines.ts';
import { depthOf } from '../shared/plan.ts';
import { fittedWidth } from '../shared/preprocess/picture.ts';
import { syntheticTraces } from '../simulate/index.ts';
import { isOffloaded, latencyMs } from '../simulate/summary.ts';
import { demoBundle, ROOT } from './bundle.ts';
import { predicted } from './live/predict.ts';
import { startGateway } from './live/processes.ts';
import { mean, profilesOf } from './live/profile.ts';
import { misplaced, type Row } from './live/ranking.ts';
import { type LiveRun, runLive } from './live/run.ts';
import type { Network, Setting } from './live/setting.ts';
import { markdownTable } from './stats.ts';

const SEED = 21;
const REQUESTS = Number(process.argv[2] ?? 80);
const TRACES = join(ROOT, '../shared/traces');
/** 3G with its long way, and a slow cable. */
const RECORDED = [
  { path: 'norway-hsdpa-3g/norway_ferry_20', delayMs: 75 },
  { path: 'fcc-broadband/trace_13562_http---www.facebook.com_640', delayMs: 25 },
];
const SYNTHETIC = [
  { name: 'lte-like-1', delayMs: 75 },
  { name: 'good-bad-1', delayMs: 25 },
];
const RATIO_MAX = 1.15;
const SPLIT = 3;

const out = (text: string) => process.stdout.write(`${text}\n`);
const { plan } = await demoBundle();
const depth = depthOf(plan);
const setting: Setting = {
  policies: [
    { name: 'all local', k: depth },
    { name: 'all remote', k: 0 },
    { name: `split at ${SPLIT}`, k: SPLIT },
    { name: 'tandem', k: null },
  ],
  ...{ requests: REQUESTS, intervalMs: 3000, slowness: 6, seed: SEED },
};
const sizes: number[] = [];
for await (const { picture } of textLines('test', REQUESTS, SEED)) {
  sizes.push(fittedWidth(picture, plan.preprocess?.height ?? picture.height, plan.size));
}
const gateway = await startGateway();
out(
  `${cpus().length} x ${cpus()[0]?.model}, Node ${process.versions.node}, ${REQUESTS} requests a policy, seed ${SEED}`,
);
let isTrue = true;
for (const network of await networks()) {
  const loadBefore = load();
  const live = await runLive(gateway.url, network, { setting, gauged: [depth, 0, SPLIT] });
  isTrue = report(network, live, `${loadBefore} to ${load()}`) && isTrue;
}
await gateway.kill();
process.exit(isTrue ? 0 : 1);

async function networks(): Promise<Network[]> {
  const own = process.argv.slice(3);
  if (own.length === 0 && !existsSync(TRACES)) {
    const traces = syntheticTraces(6, SEED);
    return SYNTHETIC.flatMap(({ name, delayMs }) =>
      traces.filter((trace) => trace.name === name).map((trace) => ({ trace, delayMs })),
    );
  }
  const paths = own.length > 0 ? own : RECORDED.map(({ path }) => join(TRACES, path));
  return Promise.all(
    paths.map(async (path, i) => {
      const [trace] = await readTraces([path]);
      if (!trace) throw new RangeError(`${path}: no trace`);
      return { trace, delayMs: RECORDED[i % RECORDED.length]?.delayMs ?? 0 };
    }),
  );
}

/** @returns whether the simulator is right about it */
function report({ trace, delayMs }: Network, { before, gauged, answers }: LiveRun, loads: string): boolean {
  const profiles = profilesOf(plan, [...before, ...gauged]);
  const rows = setting.policies.map(({ name }, slot): Row => {
    const real = answers.get(name) ?? [];
    const simulated = predicted(plan, trace, profiles, { setting, sizes, slot });
    return {
      name,
      liveMs: mean(real.map(({ ms }) => ms)),
      simulatedMs: mean(simulated.map(latencyMs)),
      offloaded: mean(real.map(({ tier }) => (tier === null ? 0 : 1))),
      simulatedOffloaded: mean(simulated.map((record) => (isOffloaded(record) ? 1 : 0))),
      late: mean(real.map(({ fallback }) => (fallback === null ? 0 : 1))),
      simulatedLate: mean(simulated.map(({ isLate }) => (isLate ? 1 : 0))),
    };
  });
  out(`\n${trace.collection}, ${trace.name}, ${delayMs} ms each way; load ${loads}`);
  const words = Object.entries(profiles.figures).map(([name, value]) => `${name} ${value.toFixed(2)}`);
  out(`measured over ${before.length + gauged.length} requests on a link without a limit: ${words.join(', ')}\n`);
  const percent = (share: number) => `${(100 * share).toFixed(0)} %`;
  out(
    markdownTable(
      ['policy', 'live mean, ms', 'simulated, ms', 'live over simulated', 'answered by the gateway', 'late'],
      rows.map((row) => [
        ...[row.name, row.liveMs.toFixed(0), row.simulatedMs.toFixed(0), (row.liveMs / row.simulatedMs).toFixed(3)],
        `${percent(row.offloaded)}, ${percent(row.simulatedOffloaded)}`,
        `${percent(row.late)}, ${percent(row.simulatedLate)}`,
      ]),
    ),
  );
  const rank = (of: (row: Row) => number) =>
    rows
      .toSorted((a, b) => of(a) - of(b))
      .map(({ name }) => name)
      .join(' < ');
  out(`\nlive: ${rank(({ liveMs }) => liveMs)}\nsimulated: ${rank(({ simulatedMs }) => simulatedMs)}`);
  const off = rows.filter(({ liveMs, simulatedMs }) => Math.abs(Math.log(liveMs / simulatedMs)) > Math.log(RATIO_MAX));
  const wrong = misplaced(rows);
  for (const { name } of off) out(`off by more than 15 %: ${name}`);
  for (const [one, other] of wrong) out(`ranked otherwise: ${one} and ${other}`);
  return off.length === 0 && wrong.length === 0;
}

function load(): string {
  return (loadavg()[0] ?? 0).toFixed(1);
}
