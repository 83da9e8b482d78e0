/** What compiling one model takes: the recipe, runtimes, and how much to measure. */
import type { BundleSource } from '../shared/bundle.ts';
import type { PictureCodec } from '../shared/codec/picture.ts';
import type { Runtime } from '../shared/runtime.ts';
import type { ChosenCuts } from './choose-cuts.ts';
import type { Pin } from './compress/segment-recipe.ts';
import type { Model } from './graph/graph.ts';
import type { TimingPlaces } from './measure/places.ts';
import type { LeakageBudget } from './privacy/measure-leakage.ts';
import type { Progress } from './progress.ts';
import type { ModelRecipe } from './recipe.ts';
import type { CompressionBudget } from './search/search-recipes.ts';

export interface CompileRequest {
  readonly recipe: ModelRecipe;
  readonly outDir: string;
  /** The bundle that `outDir` may hold already. */
  readonly earlier: BundleSource;
  /** The server's runtime, and each device target's. */
  readonly server: Runtime;
  readonly devices: ReadonlyMap<string, Runtime>;
  /** Computes as the server's does, for many samples at once: nothing is timed on it. */
  readonly many: Runtime;
  /** Runs a graph as it is written, with whatever of its values is asked for. */
  readonly literal: Runtime;
  readonly pictures: PictureCodec;
  readonly choice?: ChosenCuts | undefined;
  /** Measure even where committed measurements, or those of an earlier run into the same folder, fit. */
  readonly measure: boolean;
  /** Measure what boundaries give away, and with how much effort; undefined leaves it as it was measured before. */
  readonly leakage?: LeakageBudget | undefined;
  /** How what follows differs from the default, as text: what was found for another is no answer. */
  readonly asked?: string | undefined;
  /** Store device segments in full precision. */
  readonly float: boolean;
  /** What compressing may cost. */
  readonly budget: CompressionBudget;
  /** Forms that layers are to have, whatever the search would find. */
  readonly pins: readonly Pin[];
  readonly seed: number;
  readonly calibrationSamples: number;
  readonly testSamples: number;
  /** That compressed heads are tried on while they are searched for. */
  readonly heldOutSamples: number;
  /** Where segments are timed; asked for only where something is. */
  readonly timing: () => Promise<TimingPlaces>;
  readonly now: () => number;
  /** What a runtime makes of a model before it runs it. */
  readonly optimized: (model: Uint8Array, place: 'server' | 'device') => Promise<Model>;
  readonly progress: Progress;
}
