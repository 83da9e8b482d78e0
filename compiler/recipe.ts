/**
 * What a folder of models/ tells the compiler about its model: where it is, where to cut it, what it eats, how well it
 * does. The compiler knows no model by name; it is handed one of these.
 */

import type { PictureSteps, PlanSize } from '../shared/plan.ts';
import type { Picture } from '../shared/preprocess/resize.ts';
import type { Tensors } from '../shared/tensor.ts';
import type { OutputReduction } from './passes/reduce-outputs.ts';

export interface Sample {
  readonly input: Picture;
  /** What the model should have answered, in the model's own terms. */
  readonly truth: string;
}

export interface Metric {
  readonly name: string;
  readonly isHigherBetter: boolean;
}

export interface ModelRecipe {
  readonly name: string;
  /** Where the model comes from, in words that find it again: a package and the path in it. */
  readonly source: string;
  /** Absolute path of the .onnx file here. */
  readonly file: string;
  readonly outputs: readonly OutputReduction[];
  /** Tensor names of boundaries 1..K-1. */
  readonly cuts: readonly (readonly string[])[];
  readonly size: PlanSize;
  readonly preprocess: PictureSteps;
  /** Ways to send boundary 0. */
  readonly pictures: readonly { readonly format: 'webp' | 'jpeg'; readonly quality: number }[];
  /** Bits of the quantized tiers, at every inner boundary. */
  readonly bits: readonly (4 | 8)[];
  /** Absolute paths of files that go into the bundle as they are, by the name that clients ask for. */
  readonly assets: Readonly<Record<string, string>>;
  /** What was calibrated and measured before, as committed in the model's folder; undefined where nothing was. */
  readonly committed: unknown;

  samples(split: 'calibration' | 'test', count: number, seed: number): AsyncIterable<Sample>;
  /** The model's answer out of its output tensors, comparable with `truth`. */
  answer(outputs: Tensors): string;
  /** The first metric is the one that budgets are in. */
  readonly metrics: readonly Metric[];
  score(pairs: readonly { readonly truth: string; readonly predicted: string }[]): Record<string, number>;
}
