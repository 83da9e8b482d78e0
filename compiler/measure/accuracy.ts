/**
 * What every (target, k, tier) costs in accuracy and bytes, on labelled samples, by doing it: the device's segments on
 * the device's runtime up to k, the boundary encoded and decoded, the server's segments on the server's from there.
 */

import { runSegments } from '../../shared/chain.ts';
import { type BoundaryCodec, type Crossing, pictureCrossing } from '../../shared/codec/boundary.ts';
import { depthOf, type Plan, type PlanAccuracy, type PlanMeasured } from '../../shared/plan.ts';
import type { Session } from '../../shared/runtime.ts';
import type { Tensors } from '../../shared/tensor.ts';
import { allBoundaries } from '../cut/boundary-specs.ts';
import type { Progress } from '../progress.ts';
import type { ModelRecipe } from '../recipe.ts';
import { fitLinear, meanOf, percentile, round } from './fit.ts';

export interface AccuracyRequest {
  readonly plan: Plan;
  readonly recipe: ModelRecipe;
  readonly codec: BoundaryCodec;
  readonly server: readonly Session[];
  /** Loaded segments by device target. */
  readonly devices: ReadonlyMap<string, readonly Session[]>;
  readonly samples: number;
  readonly seed: number;
  readonly progress: Progress;
}

/** Answers and byte counts of one (target, k, tier). */
interface Row {
  readonly target: string;
  readonly k: number;
  readonly tier: string | null;
  readonly pairs: { truth: string; predicted: string }[];
  readonly sizes: number[];
  readonly bytes: number[];
}

export async function measureAccuracy(request: AccuracyRequest): Promise<Pick<PlanMeasured, 'accuracy' | 'bytes'>> {
  const { recipe, samples, seed, progress } = request;
  const rows = new Map<string, Row>();
  let done = 0;
  for await (const sample of recipe.samples('test', samples, seed)) {
    const crossing = pictureCrossing(request.plan, sample.input);
    await measureSample(request, rows, crossing, sample.truth);
    done++;
    progress({ stage: 'accuracy and bytes on test samples', done, total: samples });
  }
  return { accuracy: [...rows.values()].map((row) => summarise(row, recipe)), bytes: bytesBySize(rows) };
}

async function measureSample(
  { plan, recipe, codec, server, devices }: AccuracyRequest,
  rows: Map<string, Row>,
  input: Crossing,
  truth: string,
): Promise<void> {
  const depth = depthOf(plan);
  const finish = (k: number, tensors: Tensors) => runSegments(plan, server, { from: k, to: depth, tensors });
  const record = (key: Pick<Row, 'target' | 'k' | 'tier'>, outputs: Tensors, bytes: number) => {
    const row = rowOf(rows, key);
    row.pairs.push({ truth, predicted: recipe.answer(outputs) });
    row.sizes.push(input.size);
    row.bytes.push(bytes);
  };
  record({ target: 'server', k: 0, tier: null }, await finish(0, input.tensors), 0);
  for (const [target, sessions] of devices) {
    const boundaries = await allBoundaries(plan, sessions, input.tensors);
    for (const [k, tensors] of boundaries.entries()) {
      if (k === depth) record({ target, k, tier: null }, tensors, 0);
      for (const { name } of plan.boundaries[k]?.tiers ?? []) {
        const crossing = { ...input, k, tensors, picture: k === 0 ? input.picture : null };
        const payload = await codec.encode(crossing, name);
        if (!payload) continue;
        const bytes = payload.parts.reduce((sum, part) => sum + part.byteLength, 0);
        const decoded = await codec.decode(k, name, payload);
        record({ target, k, tier: name }, await finish(k, decoded.tensors), bytes);
      }
    }
  }
}

function rowOf(rows: Map<string, Row>, key: Pick<Row, 'target' | 'k' | 'tier'>): Row {
  const name = `${key.target}/${key.k}/${key.tier}`;
  const known = rows.get(name);
  if (known) return known;
  const row = { ...key, pairs: [], sizes: [], bytes: [] };
  rows.set(name, row);
  return row;
}

function summarise({ target, k, tier, pairs, bytes }: Row, recipe: ModelRecipe): PlanAccuracy {
  const metrics = Object.entries(recipe.score(pairs)).map(([name, value]) => [name, round(value)]);
  const bytesMean = round(meanOf(bytes));
  return { target, k, tier, metrics: Object.fromEntries(metrics), bytesMean, bytesP95: percentile(bytes, 0.95) };
}

/** One line per (k, tier): what is sent hardly depends on which target made it, so the first target stands for all. */
function bytesBySize(rows: ReadonlyMap<string, Row>): PlanMeasured['bytes'] {
  const lines = new Map<string, PlanMeasured['bytes'][number]>();
  for (const { k, tier, sizes, bytes } of rows.values()) {
    if (tier === null || lines.has(`${k}/${tier}`)) continue;
    const cost = fitLinear(sizes.map((size, i) => ({ size, value: bytes[i] as number })));
    lines.set(`${k}/${tier}`, { k, tier, cost });
  }
  return [...lines.values()];
}
