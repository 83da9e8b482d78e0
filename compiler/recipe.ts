/**
 * What a folder of models/ tells the compiler about its model: where it is, where to cut it, what it eats, how well it
 * does. The compiler knows no model by name; it is handed one of these.
 */

import type { PictureSteps, PlanSize, TierBits } from '../shared/plan.ts';
import type { Picture } from '../shared/preprocess/resize.ts';
import type { Tensors } from '../shared/tensor.ts';
import type { JoinEnds, JoinPart } from './graph/join.ts';
import type { FixedInputs } from './passes/fix-inputs.ts';
import type { OutputReduction } from './passes/reduce-outputs.ts';

export interface Sample {
  /** Boundary 0's tensors, or the picture that they are made of. */
  readonly input: Picture | Tensors;
  /** What the model should have answered, in the model's own terms. */
  readonly truth: string;
}

/** Inputs -> outputs, in full precision. */
export type RunModel = (inputs: Tensors) => Promise<Tensors>;

export type Grade = Readonly<Record<string, string | number>>;

export interface Metric {
  readonly name: string;
  readonly isHigherBetter: boolean;
}

/** Models that feed each other, to be joined into one. */
export interface JoinedFiles extends JoinEnds {
  readonly parts: readonly (Omit<JoinPart, 'model'> & { readonly file: string })[];
}

/** Tiers that send this many principal components of a boundary's channels, in so many bits each. */
export interface Bottleneck {
  /** Offered only for tensors of so many channels; without it wherever there are at least twice as many as components. */
  readonly channels?: number | undefined;
  readonly components: number;
  readonly bits: TierBits;
  /**
   * The step of all components over what a channel deviates from its mean, the root mean square over all channels; without it
   * the step with which the bits reach just as far as components do. Bits that reach further with it cost next to nothing.
   */
  readonly stepShare?: number | undefined;
}

/** Values of grey: what an attack is to find out about an input. */
export interface Plane {
  readonly rows: number;
  readonly columns: number;
  /** [rows, columns], about 0 to 1. */
  readonly data: Float32Array;
}

/** How inputs are looked at where it is measured what boundaries give away of them. */
export interface InputView {
  /** In a few words, for people. */
  readonly name: string;
  /** What there is to see of boundary 0. */
  see(input: Tensors): Plane;
  /**
   * An input that looks like the plane, for the model to read.
   * @param original whose other tensors, which the plane does not show, are kept
   */
  unsee(plane: Plane, original: Tensors): Tensors;
  /** Further measures of how far a reconstruction is from what was there, by name. */
  compare?(original: Plane, reconstruction: Plane): Record<string, number>;
}

export interface ModelRecipe {
  readonly name: string;
  /** Where the model comes from, in words that find it again: a package and the path in it. */
  readonly source: string;
  /** Absolute path of the .onnx file here; of the first one where it is `joined`. */
  readonly file: string;
  /** What the model is made of, where it is several files in a row. */
  readonly joined?: JoinedFiles | undefined;
  /** Inputs that always have the same value, and are no inputs any more. */
  readonly fixed?: FixedInputs | undefined;
  readonly outputs: readonly OutputReduction[];
  /** Tensor names of boundaries 1..K-1. */
  readonly cuts: readonly (readonly string[])[];
  readonly size: PlanSize;
  /** null where samples are tensors already. */
  readonly preprocess: PictureSteps | null;
  /** Ways to send boundary 0 as a picture. */
  readonly pictures: readonly { readonly format: 'webp' | 'jpeg'; readonly quality: number }[];
  /** Bits of the quantized tiers, at every inner boundary, and at boundary 0 where that is no picture. */
  readonly bits: readonly TierBits[];
  /** Each at the boundaries it fits. */
  readonly bottlenecks: readonly Bottleneck[];
  /** Whether every boundary can also be sent as it is. */
  readonly raw: boolean;
  /** Absolute paths of files that go into the bundle as they are, by the name that clients ask for. */
  readonly assets: Readonly<Record<string, string>>;
  /** What its samples are, where two runs may have others. */
  readonly samplesKey?: string | undefined;
  /** Whether samples are noise, which says nothing of what the model will see: nothing is fitted to it. */
  readonly isNoise?: boolean | undefined;
  /** Shapes of inputs that its file leaves open, and what they were taken to be: a sentence each. */
  readonly shapesTaken?: readonly string[] | undefined;
  /** What of the input an attack is to find out; by default the luminance of pictures, else the first float tensor as it is. */
  readonly view?: InputView | undefined;
  /** What was calibrated and measured before, as committed in the model's folder; undefined where nothing was. */
  readonly committed: unknown;

  /** Boundary 0 of the right shapes, for times and shapes: what is in it does not matter. */
  noise(size: number): Tensors;
  /** @param run the whole model, for samples that depend on what it gave before: a recurrent state */
  samples(split: 'calibration' | 'test', count: number, seed: number, run: RunModel): AsyncIterable<Sample>;
  /** The model's answer out of its output tensors, comparable with `truth`. */
  answer(outputs: Tensors): string;
  /** The first metric is the one that budgets are in. */
  readonly metrics: readonly Metric[];
  /**
   * What is to be said of one sample's outputs, for `score` to sum up.
   * @param expected outputs of the whole model in full precision
   */
  judge(outputs: Tensors, truth: string, expected: Tensors): Grade;
  /** Value of each metric, by name. */
  score(grades: readonly Grade[]): Record<string, number>;
}

/** A model that takes pictures. */
export interface PictureRecipe extends ModelRecipe {
  readonly preprocess: PictureSteps;
  samples(
    split: 'calibration' | 'test',
    count: number,
    seed: number,
  ): AsyncIterable<Sample & { readonly input: Picture }>;
}
