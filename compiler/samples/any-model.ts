/**
 * A recipe for a model that nobody wrote one for: tensors in, tensors out, one size, and one metric that any model has,
 * how far its outputs are from those in full precision.
 */
import { basename } from 'node:path';
import type { Tensors } from '../../shared/tensor.ts';
import { sha256 } from '../bundle.ts';
import { relativeError, worstError } from '../measure/error.ts';
import { meanOf } from '../measure/fit.ts';
import { readModelFile } from '../onnx/files.ts';
import { type FixedInputs, fixInputs } from '../passes/fix-inputs.ts';
import type { ModelRecipe } from '../recipe.ts';
import { readSamples } from './files.ts';
import { checkDims, type Dims, randomSample, shapesTaken } from './random.ts';

export interface AnyModelOptions {
  /** A .npz file or a folder of samples; without one, noise. */
  readonly samples?: string | undefined;
  readonly dims: Dims;
  readonly cuts: readonly (readonly string[])[];
  readonly fixed?: FixedInputs | undefined;
}

/** One size only: shapes are fixed when a model is compiled without a recipe. */
const ONE_SIZE = { name: 'n', unit: 'sample', step: 1, min: 1, max: 1, typical: 1 };

/** @throws NOT_FOUND, BAD_MODEL, BAD_INPUT; UNSUPPORTED for inputs that noise cannot stand for; USAGE for dims that it has not */
export async function anyModelRecipe(path: string, options: AnyModelOptions): Promise<ModelRecipe> {
  const { graph } = readModelFile(path);
  const order = graph.inputs.map(({ name }) => name);
  fixInputs(graph, options.fixed ?? {});
  checkDims(graph.inputs, options.dims);
  const own = options.samples === undefined ? undefined : await readSamples(options.samples, graph.inputs, order);
  const sampleAt = (seed: number): Tensors => own?.[seed % own.length] ?? randomSample(graph, options.dims, seed);
  return {
    name: modelName(path),
    ...{ source: path, file: path, outputs: [], cuts: options.cuts },
    ...{
      size: ONE_SIZE,
      preprocess: null,
      pictures: [],
      bits: [8, 4],
      bottlenecks: [],
      raw: true,
      assets: {},
      committed: undefined,
    },
    fixed: options.fixed ?? {},
    samplesKey: own ? sha256(JSON.stringify(own, byBytes)) : JSON.stringify(options.dims),
    isNoise: own === undefined,
    shapesTaken: own ? [] : shapesTaken(graph.inputs, options.dims),
    noise: () => sampleAt(0),
    async *samples(split, count, seed) {
      // Calibration and test share nothing but where there is a single sample.
      const offset = split === 'test' ? 0 : 1;
      for (let i = 0; i < count; i++) yield { input: sampleAt(2 * (seed * 1000 + i) + offset), truth: '' };
    },
    answer: () => '',
    metrics: [{ name: 'outputError', isHigherBetter: false }],
    judge: (outputs, _truth, expected) => ({
      outputError: worstError(Object.keys(expected), outputs, expected, relativeError),
    }),
    score: (grades) => ({ outputError: meanOf(grades.map(({ outputError }) => Number(outputError))) }),
  };
}

/** Typed arrays as the hash of their bytes. */
function byBytes(_key: string, value: unknown): unknown {
  return ArrayBuffer.isView(value) ? sha256(new Uint8Array(value.buffer, value.byteOffset, value.byteLength)) : value;
}

/** A plan's name out of a file's: lower-case letters, digits and dashes. */
function modelName(path: string): string {
  const plain = basename(path, '.onnx')
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-+|-+$/g, '');
  return plain.slice(0, 64) || 'model';
}
