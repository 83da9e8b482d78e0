/** What forms that compute otherwise than float32 save on a target, by timing a model's layers there. */
import type { Plan } from '../../shared/plan.ts';
import type { Runtime } from '../../shared/runtime.ts';
import type { Tensors } from '../../shared/tensor.ts';
import type { LayerForm } from '../compress/segment-recipe.ts';
import { allBoundaries } from '../cut/boundary-specs.ts';
import { cloneGraph, type Model } from '../graph/graph.ts';
import { inferTypes } from '../graph/infer.ts';
import { observeTypes } from '../graph/observe.ts';
import type { Progress } from '../progress.ts';
import type { ModelRecipe } from '../recipe.ts';
import { integerSavings } from './integer-regions.ts';
import type { Journal } from './journal.ts';
import { conversionTime, timeLayers } from './layer-times.ts';
import type { Reference } from './losses.ts';

/** Milliseconds, by form and layer. */
export type Savings = { readonly [Form in LayerForm]?: Readonly<Record<string, number>> };

export interface SavingsRequest {
  readonly plan: Plan;
  readonly recipe: ModelRecipe;
  /** Of the chain's segments, as they are to be compressed. */
  readonly models: readonly Model[];
  readonly reference: Reference;
  /** Tells shapes: runs graphs as they are written. */
  readonly runtime: Runtime;
  /** Where the target is timed. */
  readonly place: Runtime;
  readonly journal: Journal;
  readonly now: () => number;
  readonly progress: Progress;
}

/** One entry a segment. */
export async function measureSavings(request: SavingsRequest): Promise<Savings[]> {
  const { plan, recipe, models, reference, runtime, place, journal, now, progress } = request;
  const conversionMs = await journal.once('conversion', () => conversionTime(place, now));
  const boundaries = await allBoundaries(plan, reference.sessions, recipe.noise(recipe.size.typical));
  const savings: Savings[] = [];
  for (const [k, model] of models.entries()) {
    const typed = { ...model, graph: cloneGraph(model.graph) };
    await inferTypes(typed, runtime);
    const types = await observeTypes(typed, runtime, boundaries[k] as Tensors);
    const saved = await journal.once(`layer times ${k}`, async () => {
      const times = await timeLayers(model, types, place, now, progress);
      const int8 = Object.fromEntries(integerSavings(model.graph, times, types, conversionMs));
      const nbits4 = Object.fromEntries(
        [...times].map(([layer, ms]) => [layer, Math.max(0, ms.floatMs - ms.nbits4Ms)]),
      );
      return { int8, nbits4 };
    });
    savings.push(saved);
  }
  return savings;
}
