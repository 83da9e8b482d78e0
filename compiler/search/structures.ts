/**
 * What the chain's segments can do without: channels and ranks are given up at one price for all segments, until the
 * share of the work that was asked for is left, or less is given up where the metric does not allow that.
 */
import { runSegments } from '../../shared/chain.ts';
import type { Plan } from '../../shared/plan.ts';
import type { Runtime, Session } from '../../shared/runtime.ts';
import type { Tensors } from '../../shared/tensor.ts';
import type { StructureChoice } from '../compress/choose-structure.ts';
import { endError } from '../compress/end-error.ts';
import type { SegmentData } from '../compress/segment-data.ts';
import type { SegmentStructure } from '../compress/segment-recipe.ts';
import { chooseTogether, rebuildStructure, type StructurePrices, structurePrices } from '../compress/structure.ts';
import type { Model } from '../graph/graph.ts';
import { releaseAll } from '../measure/sessions.ts';
import { loadModel } from '../onnx/load.ts';
import type { Progress } from '../progress.ts';
import { type HeadLoss, type HeldOut, headLoss } from './held-out.ts';
import { endsOf, type Reference } from './losses.ts';

export interface StructuresRequest {
  readonly plan: Plan;
  /** The chain's segments in full precision, with what flows into them. */
  readonly data: readonly SegmentData[];
  /** What flows into the whole chain. */
  readonly inputs: () => AsyncIterable<Tensors>;
  readonly runtime: Runtime;
  readonly progress: Progress;
}

/** Tries on the way down to the share that was asked for: all of it, then half of what was to go. */
const TRIES = 2;

/**
 * @param isWithin whether a loss keeps the budget
 * @returns undefined where nothing can go
 */
export async function searchStructures(
  request: StructuresRequest & { readonly reference: Reference; readonly heldOut: HeldOut; readonly macsShare: number },
  isWithin: (lost: HeadLoss) => boolean,
): Promise<readonly SegmentStructure[] | undefined> {
  const { plan, data, reference, heldOut, runtime, progress } = request;
  const depth = data.length;
  // Errors are followed to the end of the chain; where tensors pass a segment by, they stay at its outputs.
  const follows = plan.segments.slice(0, -1).every(({ outputs }, k) => carriesOnly(plan, k + 1, outputs));
  const prices: StructurePrices[] = [];
  for (const [k, segment] of data.entries()) {
    progress({ stage: 'what channels and ranks are worth', done: k, total: depth });
    const errorOf = endError((outputs) =>
      k + 1 === depth ? Promise.resolve(outputs) : endsOf(reference, k + 1, outputs),
    );
    prices.push(await structurePrices(segment, { technique: 'both', ...(follows && { errorOf }) }));
  }
  for (let attempt = 0; attempt < TRIES; attempt++) {
    const macsShare = 1 - (1 - request.macsShare) / 2 ** attempt;
    progress({ stage: `fitting ${Math.round(macsShare * 100)} % of the work`, done: 0, total: 1 });
    const structures = chooseTogether(prices, macsShare).map((choice, k) => structureOf(choice, prices[k]?.macs ?? 1));
    const models = await rebuiltChain(request, structures);
    const sessions = await Promise.all(models.map((model) => loadModel(runtime, model)));
    const lost = await headLoss(heldOut, sessions, [plan.segments.length]);
    await releaseAll([sessions]);
    if (isWithin(lost)) return structures;
  }
  return undefined;
}

function carriesOnly(plan: Plan, k: number, outputs: readonly string[]): boolean {
  return plan.boundaries[k]?.tensors.every(({ name }) => outputs.includes(name)) ?? false;
}

/** Segments made smaller one after the other: each is fitted to what the ones before it now make. */
export async function rebuiltChain(
  { plan, data, inputs, runtime, progress }: StructuresRequest,
  structures: readonly (SegmentStructure | undefined)[],
): Promise<Model[]> {
  const models: Model[] = [];
  const before: Session[] = [];
  for (const [k, segment] of data.entries()) {
    progress({ stage: 'fitting what is left', done: k, total: data.length });
    const structure = structures[k];
    const ready = [...before];
    async function* samples(): AsyncIterable<Tensors> {
      for await (const tensors of inputs()) yield runSegments(plan, ready, { from: 0, to: k, tensors });
    }
    const model = structure
      ? await rebuildStructure(
          segment,
          { removed: new Set(structure.removed), forms: new Map(Object.entries(structure.factors)) },
          samples,
        )
      : segment.model;
    models.push(model);
    before.push(await loadModel(runtime, model));
  }
  await releaseAll([before]);
  return models;
}

function structureOf({ removed, forms, macs }: StructureChoice, whole: number): SegmentStructure {
  return { macsShare: macs / Math.max(1, whole), removed: [...removed], factors: Object.fromEntries(forms) };
}
