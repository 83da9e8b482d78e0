/**
 * What every (target, k, tier) costs in accuracy, bytes and decoding, on labelled samples, by doing it: the device's
 * segments on the device's runtime up to k, the boundary encoded and decoded, the server's segments from there.
 */

import { runSegments } from '../../shared/chain.ts';
import type { BoundaryCodec, Crossing } from '../../shared/codec/boundary.ts';
import { depthOf, type Plan, type PlanAccuracy, type PlanMeasured } from '../../shared/plan.ts';
import type { Session } from '../../shared/runtime.ts';
import type { Tensors } from '../../shared/tensor.ts';
import { allBoundaries } from '../cut/boundary-specs.ts';
import type { Progress } from '../progress.ts';
import type { Grade, ModelRecipe } from '../recipe.ts';
import { inputCrossing, wholeOf } from '../samples/crossing.ts';
import { severalAtATime } from '../several-at-a-time.ts';
import { relativeError, worstError } from './error.ts';
import { fitLinear, meanOf, percentile, round } from './fit.ts';

export interface AccuracyRequest {
  readonly plan: Plan;
  readonly recipe: ModelRecipe;
  readonly codec: BoundaryCodec;
  readonly server: readonly Session[];
  /** The same, for many runs at once; default `server`. */
  readonly tails?: readonly Session[] | undefined;
  /** Loaded segments by device target. */
  readonly devices: ReadonlyMap<string, readonly Session[]>;
  /** Which samples, how many. */
  readonly split: 'calibration' | 'test';
  readonly samples: number;
  readonly seed: number;
  readonly now: () => number;
  readonly progress: Progress;
}

export type AccuracyResult = Pick<PlanMeasured, 'accuracy' | 'tiers' | 'boundaryErrors'>;

/** Answers and costs of one (target, k, tier). */
interface Row {
  readonly target: string;
  readonly k: number;
  readonly tier: string | null;
  readonly grades: Grade[];
  readonly sizes: number[];
  readonly bytes: number[];
  readonly decodeMs: number[];
}

interface Seen {
  readonly rows: Map<string, Row>;
  /** Worst error of boundaries 0..K-1, by target. */
  readonly errors: Map<string, number[]>;
}

export async function measureAccuracy(request: AccuracyRequest): Promise<AccuracyResult> {
  const { recipe, split, samples, seed, progress } = request;
  const seen: Seen = { rows: new Map(), errors: new Map() };
  let done = 0;
  for await (const sample of recipe.samples(split, samples, seed, wholeOf(request.plan, request.server))) {
    const crossing = inputCrossing(request.plan, sample.input);
    await measureSample(request, seen, crossing, sample.truth);
    done++;
    progress({ stage: `accuracy and bytes on ${split} samples`, done, total: samples });
  }
  return {
    accuracy: [...seen.rows.values()].map((row) => summarise(row, recipe)),
    tiers: costsBySize(seen.rows),
    boundaryErrors: Object.fromEntries([...seen.errors].map(([target, errors]) => [target, errors.map(round)])),
  };
}

async function measureSample(
  { plan, recipe, codec, server, tails = server, devices, now }: AccuracyRequest,
  { rows, errors }: Seen,
  input: Crossing,
  truth: string,
): Promise<void> {
  const depth = depthOf(plan);
  const finish = (k: number, tensors: Tensors) => runSegments(plan, tails, { from: k, to: depth, tensors });
  const expected = await allBoundaries(plan, server, input.tensors);
  const record = (key: Pick<Row, 'target' | 'k' | 'tier'>, outputs: Tensors, bytes: number, ms: number) => {
    const row = rowOf(rows, key);
    row.grades.push(recipe.judge(outputs, truth, expected[depth] as Tensors));
    row.sizes.push(input.size);
    row.bytes.push(bytes);
    row.decodeMs.push(ms);
  };
  record({ target: 'server', k: 0, tier: null }, expected[depth] as Tensors, 0, 0);
  for (const [target, sessions] of devices) {
    const boundaries = await allBoundaries(plan, sessions, input.tensors);
    errors.set(target, worseOf(errors.get(target) ?? [], boundaryErrors(plan, boundaries, expected)));
    const sent: { k: number; tier: string; tensors: Tensors; own: Tensors; bytes: number; ms: number }[] = [];
    for (const [k, tensors] of boundaries.entries()) {
      // Outputs that the device has made by then are its own, as they are when it serves.
      const own = outputsIn(plan, tensors);
      for (const { name } of plan.boundaries[k]?.tiers ?? []) {
        const crossing = { ...input, k, tensors, picture: k === 0 ? input.picture : null };
        const payload = await codec.encode(crossing, name);
        if (!payload) continue;
        const bytes = payload.parts.reduce((sum, part) => sum + part.byteLength, 0);
        const startMs = now();
        const decoded = await codec.decode(k, name, payload);
        sent.push({ k, tier: name, tensors: decoded.tensors, own, bytes, ms: now() - startMs });
      }
    }
    // Only when all is decoded: threads that run beside it would be in the times.
    const ends = await severalAtATime(sent, ({ k, tensors }) => finish(k, tensors));
    for (const [i, { k, tier, own, bytes, ms }] of sent.entries()) {
      record({ target, k, tier }, { ...own, ...ends[i] }, bytes, ms);
    }
    record({ target, k: depth, tier: null }, boundaries[depth] as Tensors, 0, 0);
  }
}

function outputsIn(plan: Plan, tensors: Tensors): Tensors {
  const names = plan.boundaries.at(-1)?.tensors.map(({ name }) => name) ?? [];
  return Object.fromEntries(Object.entries(tensors).filter(([name]) => names.includes(name)));
}

function rowOf(rows: Map<string, Row>, key: Pick<Row, 'target' | 'k' | 'tier'>): Row {
  const name = `${key.target}/${key.k}/${key.tier}`;
  const known = rows.get(name);
  if (known) return known;
  const row = { ...key, grades: [], sizes: [], bytes: [], decodeMs: [] };
  rows.set(name, row);
  return row;
}

function summarise({ target, k, tier, grades, bytes }: Row, recipe: ModelRecipe): PlanAccuracy {
  const metrics = Object.entries(recipe.score(grades)).map(([name, value]) => [name, round(value)]);
  const bytesMean = round(meanOf(bytes));
  return { target, k, tier, metrics: Object.fromEntries(metrics), bytesMean, bytesP95: percentile(bytes, 0.95) };
}

/** Of boundaries 0..K-1: outputs are classes and scores, for them the answers tell. */
function boundaryErrors(plan: Plan, actual: readonly Tensors[], expected: readonly Tensors[]): number[] {
  return plan.boundaries.slice(0, -1).map(({ tensors }, k) => {
    const names = tensors.map(({ name }) => name);
    return worstError(names, actual[k] ?? {}, expected[k] ?? {}, relativeError);
  });
}

function worseOf(known: readonly number[], fresh: readonly number[]): number[] {
  return fresh.map((error, k) => Math.max(error, known[k] ?? 0));
}

/** One entry per (k, tier): what is sent hardly depends on which target made it, so the first target stands for all. */
function costsBySize(rows: ReadonlyMap<string, Row>): PlanMeasured['tiers'] {
  const entries = new Map<string, PlanMeasured['tiers'][number]>();
  for (const { k, tier, sizes, bytes, decodeMs } of rows.values()) {
    if (tier === null || entries.has(`${k}/${tier}`)) continue;
    const bySize = (values: readonly number[]) =>
      fitLinear(sizes.map((size, i) => ({ size, value: values[i] as number })));
    entries.set(`${k}/${tier}`, { k, tier, bytes: bySize(bytes), decodeMs: bySize(decodeMs) });
  }
  return [...entries.values()];
}
