/** What the report shows: the plan, every place where the model could be cut, and what the runtime made of each segment. */
import type { Plan } from '../../shared/plan.ts';
import type { Runtime } from '../../shared/runtime.ts';
import type { ChosenCuts } from '../choose-cuts.ts';
import { legalBoundaries } from '../cut/boundaries.ts';
import { flowOf } from '../cut/flow.ts';
import { bytesOf, costOf } from '../graph/cost.ts';
import type { Model } from '../graph/graph.ts';
import { observeTypes } from '../graph/observe.ts';
import type { KeptPicture } from '../privacy/reconstructions.ts';
import type { ModelRecipe } from '../recipe.ts';
import type { SearchRecord } from '../search/search-recipes.ts';
import type { ReportSize } from './sizes.ts';
import type { Unfused } from './unfused.ts';

export interface ReportBoundary {
  readonly tensors: readonly string[];
  /** Share of the multiply-accumulates that come before it, or of the nodes where there are none. */
  readonly depth: number;
  /** As float32 or what it is, before it is encoded. */
  readonly rawBytes: number;
}

/** Operators of one segment's file, and what runtimes run instead. */
export interface ReportFusion {
  readonly segment: number;
  readonly written: Readonly<Record<string, number>>;
  readonly server: Readonly<Record<string, number>>;
  readonly device: Readonly<Record<string, number>>;
  /** On the device. */
  readonly unfused: readonly Unfused[];
}

export interface ReportData {
  readonly plan: Plan;
  readonly boundaries: readonly ReportBoundary[];
  readonly fusions: readonly ReportFusion[];
  readonly sizes: readonly ReportSize[];
  /** Choices that clients leave out unless told otherwise, by `tierKey`: how much of the first metric each loses. */
  readonly inaccurate: Readonly<Record<string, number>>;
  /** What was tried and left out, a sentence each. */
  readonly dropped: readonly string[];
  /** How the cuts were chosen, where nobody named them. */
  readonly choice?: ChosenCuts | undefined;
  /** How each target's recipes were found. */
  readonly searches: Readonly<Record<string, SearchRecord>>;
  /** What attacks made of some samples. */
  readonly pictures?: readonly KeptPicture[];
}

/** Tensors of the boundaries that are shown. */
const TENSORS_MAX = 2;

/** @param runtime runs the model as it is written */
export async function reportBoundaries(model: Model, recipe: ModelRecipe, runtime: Runtime): Promise<ReportBoundary[]> {
  const types = await observeTypes(model, runtime, recipe.noise(recipe.size.typical));
  const cost = costOf(model.graph, types);
  const { legal } = legalBoundaries(flowOf(model.graph), TENSORS_MAX, cost.byNode);
  const nodes = model.graph.nodes.length;
  return legal.map(({ tensors, costBehind }) => ({
    tensors,
    depth: cost.macs > 0 ? (cost.macs - costBehind.macs) / cost.macs : (nodes - costBehind.nodes) / nodes,
    rawBytes: tensors.reduce((sum, name) => sum + (bytesOf(types, name) ?? 0), 0),
  }));
}
