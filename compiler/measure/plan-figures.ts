/** All figures of a plan: the time of its segments wherever they run, and what every way through it costs. */
import { type BoundaryCodec, boundaryCodec } from '../../shared/codec/boundary.ts';
import type { Plan, PlanMeasured } from '../../shared/plan.ts';
import type { Session } from '../../shared/runtime.ts';
import type { CompileRequest } from '../compile-request.ts';
import type { CompressedChain } from '../compress-chain.ts';
import type { Chain } from '../cut/segments.ts';
import { measureAccuracy } from './accuracy.ts';
import { loadPlaces } from './places.ts';
import { loadAll, releaseAll } from './sessions.ts';
import { measureTime } from './time.ts';

/** Characters that a plan's parser takes. */
const MACHINE_LENGTH_MAX = 1024;
const REMARK_SEPARATOR = '; ';

/** Places that could not be timed, a sentence each: they follow what is said of the machine. */
export function placesLeftOut({ machine }: PlanMeasured): string[] {
  return machine.split(REMARK_SEPARATOR).slice(1);
}

export async function measurePlan(
  request: CompileRequest,
  plan: Plan,
  chain: Chain,
  compressed: CompressedChain,
  server: readonly Session[],
): Promise<PlanMeasured> {
  const { recipe, seed, testSamples, now, progress } = request;
  const codec: BoundaryCodec = boundaryCodec(plan, request.pictures);
  const modelsOf = (target: string) => compressed.get(target)?.models ?? [];
  const timing = await request.timing();
  const { chains, remarks } = await loadPlaces(plan, timing.places, modelsOf, recipe.noise(recipe.size.typical));
  const places = new Map(
    [...([['server', server], ...chains] as const)].map(([name, sessions]) => [name, { plan, sessions }]),
  );
  const { typical, step, min, max } = recipe.size;
  const near = [typical / 2, typical, typical * 2].map((size) => Math.round(size / step) * step);
  const sizes = [...new Set(near.map((size) => Math.min(max, Math.max(min, size))))];
  const input = recipe.noise;
  const timeMs = await measureTime({ places, sizes, input, now, progress });
  await releaseAll([...chains.values()]);
  const devices = new Map<string, Session[]>();
  for (const [target, runtime] of request.devices) devices.set(target, await loadAll(runtime, modelsOf(target)));
  const samples = testSamples;
  const tails = await loadAll(
    request.many,
    chain.segments.map(({ float }) => float),
  );
  const accuracy = await measureAccuracy({
    ...{ plan, recipe, codec, server, tails, devices, split: 'test', samples, seed, now, progress },
  });
  await releaseAll([...devices.values(), tails]);
  const machine = [timing.machine, ...remarks].join(REMARK_SEPARATOR).slice(0, MACHINE_LENGTH_MAX);
  return { machine, seed, samples, metrics: [...recipe.metrics], timeMs, ...accuracy };
}
