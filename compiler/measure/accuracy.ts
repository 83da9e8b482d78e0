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

/** Samples that are measured with nothing else under way: what decoding takes is told by these. */
const TIMED_SAMPLES = 32;

/** Answers and costs of one (target, k, tier). */
interface Row {
  readonly target: string;
  readonly k: number;
  readonly tier: string | null;
  readonly grades: Grade[];
  readonly sizes: number[];
  readonly bytes: number[];
  /** Of the first samples, of one at least. */
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
  let before: Promise<void> | undefined;
  for await (const sample of recipe.samples(split, samples, seed, wholeOf(request.plan, request.server))) {
    const isTimed = done < TIMED_SAMPLES;
    const crossing = inputCrossing(request.plan, sample.input);
    const finish = await measureSample(request, seen, crossing, sample.truth, isTimed);
    // Tails run on other threads: the next sample is sent meanwhile.
    await before;
    before = finish();
    before.catch(() => {});
    if (isTimed) await before;
    done++;
    progress({ stage: `accuracy and bytes on ${split} samples`, done, total: samples });
  }
  await before;
  return {
    accuracy: [...seen.rows.values()].map((row) => summarise(row, recipe)),
    tiers: costsBySize(seen.rows),
    boundaryErrors: Object.fromEntries([...seen.errors].map(([target, errors]) => [target, errors.map(round)])),
  };
}

/** @returns what is left to do: run what was sent to its end */
async function measureSample(
  { plan, recipe, codec, server, tails = server, devices, now }: AccuracyRequest,
  { rows, errors }: Seen,
  input: Crossing,
  truth: string,
  isTimed: boolean,
): Promise<() => Promise<void>> {
  const depth = depthOf(plan);
  const expected = await allBoundaries(plan, server, input.tensors);
  const record = (key: Pick<Row, 'target' | 'k' | 'tier'>, outputs: Tensors, bytes: number, ms: number) => {
    const row = rowOf(rows, key);
    row.grades.push(recipe.judge(outputs, truth, expected[depth] as Tensors));
    row.sizes.push(input.size);
    row.bytes.push(bytes);
    if (isTimed || row.decodeMs.length === 0) row.decodeMs.push(ms);
  };
  record({ target: 'server', k: 0, tier: null }, expected[depth] as Tensors, 0, 0);
  const sent: { key: Pick<Row, 'target' | 'k' | 'tier'>; tensors: Tensors; own: Tensors; bytes: number; ms: number }[] =
    [];
  for (const [target, sessions] of devices) {
    const boundaries = await allBoundaries(plan, sessions, input.tensors);
    errors.set(target, worseOf(errors.get(target) ?? [], boundaryErrors(plan, boundaries, expected)));
    for (const [k, tensors] of boundaries.entries()) {
      // Outputs that the device has made by then are its own, as they are when it serves.
      const own = outputsIn(plan, tensors);
      for (const { name: tier } of plan.boundaries[k]?.tiers ?? []) {
        const crossing = { ...input, k, tensors, picture: k === 0 ? input.picture : null };
        const payload = await codec.encode(crossing, tier);
        if (!payload) continue;
        const bytes = payload.parts.reduce((sum, part) => sum + part.byteLength, 0);
        // The first of its kind sets its decoder up.
        if (!rows.has(rowKey({ target, k, tier }))) await codec.decode(k, tier, payload);
        const startMs = now();
        const decoded = await codec.decode(k, tier, payload);
        sent.push({ key: { target, k, tier }, tensors: decoded.tensors, own, bytes, ms: now() - startMs });
      }
    }
    sent.push({
      key: { target, k: depth, tier: null },
      tensors: boundaries[depth] as Tensors,
      own: {},
      bytes: 0,
      ms: 0,
    });
  }
  return async () => {
    const ends = await severalAtATime(sent, ({ key, tensors }) =>
      runSegments(plan, tails, { from: key.k, to: depth, tensors }),
    );
    for (const [i, { key, own, bytes, ms }] of sent.entries()) record(key, { ...own, ...ends[i] }, bytes, ms);
  };
}

/** Those of the whole model that are among some tensors. */
export function outputsIn(plan: Plan, tensors: Tensors): Tensors {
  const names = plan.boundaries.at(-1)?.tensors.map(({ name }) => name) ?? [];
  return Object.fromEntries(Object.entries(tensors).filter(([name]) => names.includes(name)));
}

function rowKey({ target, k, tier }: Pick<Row, 'target' | 'k' | 'tier'>): string {
  return `${target}/${k}/${tier}`;
}

function rowOf(rows: Map<string, Row>, key: Pick<Row, 'target' | 'k' | 'tier'>): Row {
  const name = rowKey(key);
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
      fitLinear(values.map((value, i) => ({ size: sizes[i] as number, value })));
    entries.set(`${k}/${tier}`, { k, tier, bytes: bySize(bytes), decodeMs: bySize(decodeMs) });
  }
  return [...entries.values()];
}
