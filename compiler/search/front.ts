/**
 * From what each form of each layer costs to the recipes worth trying: for every budget of loss the cheapest choice. Times and
 * bytes are shares of the float model's, so that neither drowns the other.
 */
import type { LayerForm } from '../compress/segment-recipe.ts';
import { chooseOptions } from './knapsack.ts';

/** What one layer becomes in one form, against float32. */
export interface FormCost {
  readonly form: LayerForm;
  /** Of the segment's file as it is stored; below 0 where that becomes smaller. */
  readonly bytes: number;
  /** On the target; below 0 where the layer becomes faster. */
  readonly timeMs: number;
  /** As losses.ts measures it. */
  readonly loss: number;
}

export interface LayerItem {
  /** Index of the segment, from 0. */
  readonly segment: number;
  readonly layer: string;
  readonly options: readonly FormCost[];
}

/** Of the whole chain. */
export interface Totals {
  readonly bytes: number;
  readonly timeMs: number;
}

export interface Candidate extends Totals {
  /** The form of each item, in the order of items. */
  readonly forms: readonly FormCost[];
  /** Predicted. */
  readonly loss: number;
}

export interface FrontBudget {
  readonly bytesMax?: number | undefined;
  readonly timeMaxMs?: number | undefined;
}

/** Candidates that are tried on held-out samples at most. */
const POINTS = 10;
/** The smallest budget of loss that is tried, over what everything in its cheapest form loses: less is never seen. */
const LOSS_RATIO_MIN = 1e-5;
/** How much bytes count against time, from equal shares upward, until a budget of either holds. */
const WEIGHTS = [1, 4, 16, 64, 256, 1024];

/**
 * @param float totals of the chain in full precision
 * @returns from the least loss to the most, each cheaper than the one before; empty where no choice keeps the budget
 */
export function paretoFront(items: readonly LayerItem[], float: Totals, budget: FrontBudget = {}): Candidate[] {
  const sum = (of: (losses: readonly number[]) => number) =>
    items.reduce((total, { options }) => total + of(options.map(({ loss }) => loss)), 0);
  const most = Math.max(
    sum((losses) => Math.max(...losses)),
    Number.MIN_VALUE,
  );
  const least = Math.max(
    sum((losses) => Math.min(...losses)),
    most * LOSS_RATIO_MIN,
  );
  const front: Candidate[] = [];
  for (let i = 0; i < POINTS; i++) {
    // A little more, for the knapsack rounds up.
    const lossMax = least * (most / least) ** (i / (POINTS - 1)) * 1.05;
    const candidate = cheapest(items, float, budget, lossMax);
    const last = front.at(-1);
    if (candidate && (!last || costOf(candidate, float) < costOf(last, float) - 1e-9)) front.push(candidate);
  }
  return front;
}

/** Bytes and time as shares of the float model's, added. */
export function costOf({ bytes, timeMs }: Totals, float: Totals): number {
  return bytes / float.bytes + timeMs / float.timeMs;
}

/** Within the loss and both budgets, by making what is over one weigh more; undefined where nothing is. */
export function cheapest(
  items: readonly LayerItem[],
  float: Totals,
  { bytesMax = Number.POSITIVE_INFINITY, timeMaxMs = Number.POSITIVE_INFINITY }: FrontBudget,
  lossMax: number,
): Candidate | undefined {
  for (const ofBytes of WEIGHTS) {
    for (const ofTime of WEIGHTS) {
      if (Math.min(ofBytes, ofTime) > 1) continue;
      const options = items.map((item) =>
        item.options.map(({ bytes, timeMs, loss }) => ({
          cost: (ofBytes * bytes) / float.bytes + (ofTime * timeMs) / float.timeMs,
          loss,
        })),
      );
      const choice = chooseOptions(options, lossMax);
      if (!choice) return undefined;
      const candidate = candidateOf(
        choice.map((index, i) => items[i]?.options[index] as FormCost),
        float,
      );
      if (candidate.bytes <= bytesMax && candidate.timeMs <= timeMaxMs) return candidate;
    }
  }
  return undefined;
}

export function candidateOf(forms: readonly FormCost[], float: Totals): Candidate {
  const sum = (of: (form: FormCost) => number) => forms.reduce((total, form) => total + of(form), 0);
  return {
    forms,
    bytes: float.bytes + sum(({ bytes }) => bytes),
    timeMs: float.timeMs + sum(({ timeMs }) => timeMs),
    loss: sum(({ loss }) => loss),
  };
}

/**
 * The candidate with the layer that loses most put into its next better form; undefined where none has one.
 * @param items as the candidate's forms are of
 */
export function withoutWorst(items: readonly LayerItem[], { forms }: Candidate, float: Totals): Candidate | undefined {
  let worst = -1;
  let better: FormCost | undefined;
  let gain = 0;
  for (const [i, form] of forms.entries()) {
    const options = items[i]?.options.filter(({ loss }) => loss < form.loss) ?? [];
    // Of those that lose less the one that loses most: one step back, not all the way.
    const next = options.reduce<FormCost | undefined>(
      (best, one) => (!best || one.loss > best.loss ? one : best),
      undefined,
    );
    if (next && form.loss - next.loss > gain) [worst, better, gain] = [i, next, form.loss - next.loss];
  }
  if (!better) return undefined;
  return candidateOf(forms.with(worst, better), float);
}

/** The smallest form that computes in float, or float32; what is pinned stays. */
export function storedForm({ options }: LayerItem, isCompressed: boolean): FormCost {
  const stored = options.filter(({ timeMs, form }) => timeMs >= 0 && (form === 'float32' || isCompressed));
  const exact = stored.find(({ form }) => form === 'w8') ?? stored.find(({ form }) => form === 'float32');
  return exact ?? (options[0] as FormCost);
}
