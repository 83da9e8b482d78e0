/** What was measured of device, server and link without a limit -> profiles for the simulator. */
import type { Plan } from '../../shared/plan.ts';
import { costAt } from '../../shared/size.ts';
import { type DeviceProfile, parseDevice, parseServer, type ServerProfile } from '../../simulate/profiles.ts';
import type { Answer } from './messages.ts';

export interface Profiles {
  readonly device: DeviceProfile;
  readonly server: ServerProfile;
  readonly roundTripMs: number;
  /** The same as figures, to be printed. */
  readonly figures: Readonly<Record<string, number>>;
}

const TARGET = 'wasm';
const NAME = 'measured';

export function profilesOf(plan: Plan, answers: readonly Answer[]): Profiles {
  const run = answers.map((answer) => ({ measured: answer.timing.deviceMs, planned: deviceMs(plan, answer) }));
  const device = ratioOf(run.filter(({ planned }) => planned > 0));
  const sent = answers.filter(({ tier }) => tier !== null);
  const server = lineOf(
    [...new Set(sent.map(({ k }) => k))].map((at) =>
      sent
        .filter(({ k }) => k === at)
        .map((one) => ({ measured: one.timing.server?.totalMs ?? 0, planned: serverMs(plan, one) })),
    ),
  );
  const encode = ratioOf(sent.map((one) => ({ measured: one.timing.encodeMs, planned: decodeMs(plan, one) })));
  const overheadMs = mean(answers.map(besides)) / device.ratio;
  const roundTripMs = mean(sent.map(({ timing }) => timing.networkMs));
  const encodePerDecode = encode.ratio / device.ratio;
  return {
    device: parseDevice(
      { name: NAME, target: TARGET, ratio: device.ratio, noise: device.noise, encodePerDecode, overheadMs },
      'device',
    ),
    server: parseServer({ name: NAME, ...server }, 'server'),
    roundTripMs,
    figures: {
      device: device.ratio,
      'device noise': device.noise,
      server: server.ratio,
      'server noise': server.noise,
      'server overhead, ms': server.overheadMs * server.ratio,
      'encoding, ms': mean(sent.map(({ timing }) => timing.encodeMs)),
      'overhead, ms': overheadMs * device.ratio,
      'round trip, ms': roundTripMs,
    },
  };
}

interface Pair {
  readonly measured: number;
  readonly planned: number;
}

/** Mean time over mean planned time, for a factor whose logarithm varies by `noise`: the factor's own mean is not 1. */
function ratioOf(pairs: readonly Pair[]): { readonly ratio: number; readonly noise: number } {
  const logs = pairs.map(({ measured, planned }) => Math.log(measured / planned));
  const middle = mean(logs);
  const variance = mean(logs.map((log) => (log - middle) ** 2));
  const ratio = mean(pairs.map(({ measured }) => measured)) / mean(pairs.map(({ planned }) => planned));
  return { ratio: ratio / Math.exp(variance / 2), noise: Math.sqrt(variance) };
}

/** The line through the means of two boundaries, one with much work and one with little: what is left without any is overhead. */
function lineOf([many = [], few = []]: readonly Pair[][]): { ratio: number; noise: number; overheadMs: number } {
  const [a, b] = [many, few].map((pairs) => ({
    measured: mean(pairs.map(({ measured }) => measured)),
    planned: mean(pairs.map(({ planned }) => planned)),
  })) as [Pair, Pair];
  const slope = (a.measured - b.measured) / (a.planned - b.planned);
  const overheadMs = Math.max(0, a.measured / slope - a.planned);
  const pairs = [...many, ...few].map(({ measured, planned }) => ({ measured, planned: planned + overheadMs }));
  return { ...ratioOf(pairs), overheadMs };
}

function deviceMs(plan: Plan, { k, size }: Answer): number {
  return sum((plan.measured?.timeMs[TARGET] ?? []).slice(0, k).map((cost) => (cost ? costAt(cost, size) : 0)));
}

function serverMs(plan: Plan, answer: Answer): number {
  const tail = (plan.measured?.timeMs['server'] ?? []).slice(answer.k);
  return decodeMs(plan, answer) + sum(tail.map((cost) => (cost ? costAt(cost, answer.size) : 0)));
}

function decodeMs(plan: Plan, { k, tier, size }: Answer): number {
  const measured = plan.measured?.tiers.find((entry) => entry.k === k && entry.tier === tier);
  return measured ? costAt(measured.decodeMs, size) : 0;
}

/** What is neither device nor encoding, network or server. */
function besides({ ms, timing: { deviceMs: device, encodeMs, networkMs, server } }: Answer): number {
  return ms - device - encodeMs - networkMs - (server?.totalMs ?? 0);
}

export function mean(values: readonly number[]): number {
  return sum(values) / values.length;
}

function sum(values: readonly number[]): number {
  return values.reduce((all, value) => all + value, 0);
}
