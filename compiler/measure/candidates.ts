/**
 * What each boundary that might be deployed costs: the model cut at all of them at once, every piece timed on the device's
 * runtime and on the server's, and each boundary sent at every tier on a few samples, to see what that does to the answers.
 */
import { boundaryCodec } from '../../shared/codec/boundary.ts';
import type { PictureCodec } from '../../shared/codec/picture.ts';
import type { Plan } from '../../shared/plan.ts';
import type { Runtime, Session } from '../../shared/runtime.ts';
import { costAt } from '../../shared/size.ts';
import type { Tensors } from '../../shared/tensor.ts';
import { calibratedPlan } from '../calibrated-plan.ts';
import { type Behind, type Boundary, legalBoundaries } from '../cut/boundaries.ts';
import { allBoundaries, NAME_LENGTH_MAX, twoSizes } from '../cut/boundary-specs.ts';
import type { Candidate, Ends } from '../cut/choose.ts';
import { flowOf } from '../cut/flow.ts';
import { buildProvenChain } from '../cut/proven-chain.ts';
import type { Chain } from '../cut/segments.ts';
import { draftPlan, NO_MODEL } from '../draft-plan.ts';
import { bytesOf, costOf } from '../graph/cost.ts';
import type { Model } from '../graph/graph.ts';
import { inferTypes } from '../graph/infer.ts';
import { observeTypes } from '../graph/observe.ts';
import { readModel } from '../onnx/read.ts';
import { notRunning } from '../prepare.ts';
import { type AccuracyResult, measureAccuracy } from './accuracy.ts';
import { type ChainTimes, type ChainTimesRequest, timeChains } from './chain-times.ts';
import { loadAll, releaseAll } from './sessions.ts';

export interface CandidatesRequest extends ChainTimesRequest {
  readonly model: Model;
  /** Runs the model as it is written. */
  readonly literal: Runtime;
  readonly pictures: PictureCodec;
  readonly tensorsMax: number;
  /** How much worse the model's first metric may become by what a boundary is sent with. */
  readonly accuracyDropMax: number;
}

export interface MeasuredCandidates extends Ends {
  /** Those that can be sent at some tier without losing more than is allowed. */
  readonly candidates: readonly Candidate[];
}

/** Pieces finer than these are lost in the noise of timing them, and make the chain slower than it will be. */
const CANDIDATES_MAX = 16;
/** Held in memory, all boundaries of each. */
const CALIBRATION_SAMPLES = 8;
const GRADED_SAMPLES = 24;

export async function measureCandidates(request: CandidatesRequest): Promise<MeasuredCandidates> {
  const { model, recipe, server, literal } = request;
  const types = await observeTypes(model, literal, recipe.noise(recipe.size.typical)).catch(notRunning(recipe));
  const rawBytes = ({ tensors }: Boundary) => tensors.reduce((sum, name) => sum + (bytesOf(types, name) ?? 0), 0);
  const { legal } = legalBoundaries(flowOf(model.graph), request.tensorsMax);
  // What is empty, or of a type or a name that no plan has, cannot be sent.
  const isSendable = (name: string) => name.length <= NAME_LENGTH_MAX && (bytesOf(types, name) ?? 0) > 0;
  const sendable = legal.filter(({ tensors }) => tensors.every(isSendable));
  const cuts = spread(nestedOf(sendable), CANDIDATES_MAX, rawBytes).map(({ tensors }) => tensors);
  const inputs = twoSizes(recipe.size).map(recipe.noise);
  const [uncut, chain] = [
    await buildProvenChain(model, [], server, inputs),
    await buildProvenChain(model, cuts, server, inputs),
  ];
  const [whole, pieces] = (await timeChains(request, [uncut, chain])) as [ChainTimes, ChainTimes];
  const sessions = await loadAll(
    server,
    chain.segments.map(({ float }) => float),
  );
  const plan = await calibratedPlan(recipe, chain, sessions, CALIBRATION_SAMPLES, request.progress);
  const sent = cheapestTiers(plan, await gradeTiers(request, plan, sessions), request);
  const memory = await memoryBytes(request, chain, sessions);
  await releaseAll([sessions]);
  const at = (k: number, tensors: readonly string[], tier: SentTier) => ({
    ...{ tensors, tier: tier.name, bytes: tier.bytes, memoryBytes: memory[k] ?? 0 },
    headMs: rangeMs(pieces.device, whole.device, 0, k),
    decodeMs: tier.decodeMs,
    tailMs: rangeMs(pieces.server, whole.server, k, pieces.server.length),
  });
  return {
    candidates: cuts.flatMap((tensors, i) => {
      const tier = sent[i + 1];
      return tier?.holds ? [at(i + 1, tensors, tier)] : [];
    }),
    remote: at(0, chain.boundaries[0] ?? [], sent[0] ?? UNSENDABLE),
    local: { headMs: sum(whole.device), memoryBytes: memory.at(-1) ?? 0 },
  };
}

/**
 * Time of a range of pieces as one. Every piece has a start of its own and loses what could have fused across its ends; what
 * all of them lose against the whole is taken to be lost evenly.
 */
export function rangeMs(pieces: readonly number[], whole: readonly number[], from: number, to: number): number {
  if (to <= from) return 0;
  const lostMs = pieces.length > 1 ? Math.max(0, sum(pieces) - sum(whole)) / (pieces.length - 1) : 0;
  const range = pieces.slice(from, to);
  return Math.min(sum(range), lostMs + sum(range.map((ms) => Math.max(0, ms - lostMs))));
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

/** The head in full precision: what is asked here is what sending costs. */
function gradeTiers({ recipe, pictures, now, progress }: CandidatesRequest, plan: Plan, server: readonly Session[]) {
  return measureAccuracy({
    ...{ plan, recipe, server, now, progress, devices: new Map([['device', server]]) },
    ...{ codec: boundaryCodec(plan, pictures), split: 'calibration', samples: GRADED_SAMPLES, seed: 2 },
  });
}

interface SentTier {
  readonly name: string;
  readonly bytes: number;
  readonly decodeMs: number;
  /** Whether it loses no more than is allowed. */
  readonly holds: boolean;
}

/** Where a boundary has none of the tiers that are asked for. */
const UNSENDABLE: SentTier = { name: 'none', bytes: Number.POSITIVE_INFINITY, decodeMs: 0, holds: false };

/** Of boundaries 0..K-1: the smallest tier that holds, else the one that loses least. */
function cheapestTiers(
  plan: Plan,
  { accuracy, tiers }: AccuracyResult,
  { recipe, accuracyDropMax }: CandidatesRequest,
): (SentTier | undefined)[] {
  const [metric] = recipe.metrics;
  const metricOf = (row: (typeof accuracy)[number] | undefined) => row?.metrics[metric?.name ?? ''] ?? Number.NaN;
  const best = metricOf(accuracy.find(({ target }) => target === 'server'));
  const dropOf = (row: (typeof accuracy)[number]) =>
    metric?.isHigherBetter ? best - metricOf(row) : metricOf(row) - best;
  // One answer of so few samples is chance.
  const dropMax = Math.max(accuracyDropMax, metric?.isHigherBetter ? 1 / GRADED_SAMPLES : 0);
  return plan.boundaries.slice(0, -1).map((_, k) => {
    const rows = accuracy.filter((row) => row.target === 'device' && row.k === k && row.tier !== null);
    const holding = rows.filter((row) => dropOf(row) <= dropMax).sort((a, b) => a.bytesMean - b.bytesMean);
    const [row] = holding.length > 0 ? holding : rows.sort((a, b) => dropOf(a) - dropOf(b));
    if (!row?.tier) return undefined;
    const cost = tiers.find((tier) => tier.k === k && tier.tier === row.tier);
    const decodeMs = cost ? costAt(cost.decodeMs, plan.size.typical) : 0;
    return { name: row.tier, bytes: row.bytesMean, decodeMs, holds: holding.length > 0 };
  });
}

/** Of segments 1..k for k from 0 to K: their weights, and the most activations that one of them has at once. */
async function memoryBytes(
  { recipe, literal }: CandidatesRequest,
  chain: Chain,
  sessions: readonly Session[],
): Promise<number[]> {
  const plan = draftPlan(recipe, chain, NO_MODEL, []);
  const boundaries = await allBoundaries(plan, sessions, recipe.noise(recipe.size.typical));
  const totals = [0];
  let [weights, peak] = [0, 0];
  for (const [k, { float }] of chain.segments.entries()) {
    // A segment may be of a newer opset than the model.
    const segment = readModel(float, `segment ${k + 1}`);
    await inferTypes(segment, literal);
    const types = await observeTypes(segment, literal, boundaries[k] as Tensors);
    weights += float.byteLength;
    peak = Math.max(peak, costOf(segment.graph, types).peakBytes);
    totals.push(weights + peak);
  }
  return totals;
}

/** Of boundaries from shallow to deep, those each of which runs before the next: only those can be cut at together. */
function nestedOf(boundaries: readonly Boundary[]): Boundary[] {
  const chain: Boundary[] = [];
  let behind: Behind | undefined;
  for (const boundary of boundaries) {
    const next = boundary.behind();
    if (behind && !next.first.every(behind.has)) continue;
    chain.push(boundary);
    behind = next;
  }
  return chain;
}

/** As many as `count`, evenly over the depth, of each part the one that is smallest before it is encoded. */
function spread(boundaries: readonly Boundary[], count: number, rawBytes: (boundary: Boundary) => number): Boundary[] {
  if (boundaries.length <= count) return [...boundaries];
  const last = boundaries.at(-1)?.nodesBefore ?? 1;
  const picked = new Map<number, Boundary>();
  for (const boundary of boundaries) {
    const bucket = Math.min(count - 1, Math.floor((boundary.nodesBefore / (last + 1)) * count));
    const known = picked.get(bucket);
    if (!known || rawBytes(boundary) < rawBytes(known)) picked.set(bucket, boundary);
  }
  return [...picked.values()];
}
