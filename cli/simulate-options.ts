/** What `tandem simulate` is told in words and files -> what the simulator takes. */
import { readFile } from 'node:fs/promises';
import { messageOf, TandemError } from '../shared/errors.ts';
import { parseJson } from '../shared/parse.ts';
import type { Plan } from '../shared/plan.ts';
import { type Arrivals, DEVICES, parseDevice, parseServer, SCHEDULERS } from '../simulate/index.ts';
import { readPlan } from './read-plan.ts';

export async function readMeasuredPlan(path: string): Promise<Plan> {
  const plan = await readPlan(path);
  if (!plan.measured) throw new TandemError('BAD_PLAN', `${path}: nothing of this plan was measured`);
  return plan;
}

export async function deviceOf(given: string | undefined, plan: Plan) {
  const named = given === undefined ? DEVICES['phone'] : Object.hasOwn(DEVICES, given) ? DEVICES[given] : undefined;
  const own = async (path: string) =>
    parseJson(await read(path, `expected ${Object.keys(DEVICES).join(', ')} or a file`), 'BAD_CONFIG', path);
  const device = parseDevice(named ?? (await own(given ?? '')), given ?? 'phone');
  const places = Object.keys(plan.measured?.timeMs ?? {}).filter((place) => place !== 'server');
  if (places.includes(device.target)) return device;
  const [first] = places;
  if (named === undefined || first === undefined) {
    throw new TandemError(
      'BAD_CONFIG',
      `the plan was not timed on ${device.target}, only on ${places.join(', ') || 'nothing'}`,
    );
  }
  return { ...device, target: first };
}

export async function serverOf(path: string | undefined, dips: boolean) {
  const given = path === undefined ? {} : parseJson(await read(path), 'BAD_CONFIG', path);
  const dip = dips
    ? {
        capacity: [
          [0, 1],
          [60, 0.5],
          [120, 1],
        ],
      }
    : {};
  return parseServer({ ...(given as object), ...dip }, path ?? 'server');
}

/** A run is no longer than eleven days: pings go on while nothing is asked. */
const RUN_MS_MAX = 1e9;

export async function arrivalsOf(given: string | undefined, intervalMs: number, requests: number): Promise<Arrivals> {
  if (given === 'closed') return { type: 'closed', thinkMs: intervalMs };
  if (intervalMs * requests > RUN_MS_MAX) {
    throw new TandemError('USAGE', `expected --interval times --requests of at most ${RUN_MS_MAX} ms`);
  }
  if (intervalMs === 0) throw new TandemError('USAGE', 'expected --interval above 0, but with --arrivals closed');
  if (given === undefined || given === 'fixed' || given === 'poisson') return { type: given ?? 'fixed', intervalMs };
  const lines = (await read(given)).split('\n');
  const atMs: number[] = [];
  for (const [i, line] of lines.entries()) {
    if (line.trim() === '') continue;
    const ms = Number(line);
    if (!(ms >= (atMs.at(-1) ?? 0) && ms <= RUN_MS_MAX)) {
      const expected = `milliseconds from the beginning of the run, not before the last, at most ${RUN_MS_MAX}`;
      throw new TandemError('BAD_INPUT', `${given}, line ${i + 1}: expected ${expected}, got ${line.trim()}`);
    }
    atMs.push(ms);
  }
  if (atMs.length < requests) {
    throw new TandemError('BAD_INPUT', `${given}: expected ${requests} arrivals, got ${atMs.length}; pass --requests`);
  }
  return { type: 'listed', atMs };
}

export function schedulersOf(names: readonly string[] | undefined): readonly string[] {
  const unknown = names?.find((name) => !SCHEDULERS.includes(name));
  if (unknown !== undefined) {
    throw new TandemError('USAGE', `expected a scheduler (${SCHEDULERS.join(', ')}), got ${unknown}`);
  }
  return names ?? SCHEDULERS;
}

export function megabits(rate: string): number {
  const mbps = Number(rate);
  if (!(mbps > 0 && mbps <= 1e6)) throw new TandemError('USAGE', `expected --rate in Mbit/s, got ${rate}`);
  return mbps;
}

async function read(path: string, expected?: string): Promise<string> {
  return readFile(path, 'utf8').catch((error: unknown) => {
    throw new TandemError(
      'NOT_FOUND',
      `${expected ? `${expected}, and ` : ''}cannot read ${path}: ${messageOf(error)}`,
      { cause: error },
    );
  });
}
