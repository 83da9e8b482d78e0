/**
 * Inputs made of noise, for a model that came without samples. They are good enough for shapes, times and equality of
 * two graphs; ranges and accuracy measured on noise say little about real data.
 */
import { TandemError } from '../../shared/errors.ts';
import { ownValue } from '../../shared/own-value.ts';
import { gaussian, randomInt, seededRandom } from '../../shared/random.ts';
import { elementCount, isDType, type Tensor, type Tensors, tensorFromBytes } from '../../shared/tensor.ts';
import { float16Bits } from '../compress/float16.ts';
import { byteLengthOf, type Dim, type Graph, type ValueInfo } from '../graph/graph.ts';

/** Sizes that the file leaves open. */
export interface Dims {
  /** By the name of a symbolic dimension. */
  readonly sizes: Readonly<Record<string, number>>;
  /** Whole shapes by the name of an input: they win. */
  readonly shapes: Readonly<Record<string, readonly number[]>>;
}

/** The first dimension is a batch more often than not; what else is open is given a size that most networks take. */
const BATCH = 1;
const OPEN_DIM = 64;

/**
 * @throws UNSUPPORTED for inputs that are no tensors of numbers
 */
export function randomSample(graph: Graph, dims: Dims, seed: number): Tensors {
  const random = seededRandom(seed);
  const entries = graph.inputs.map((input): [string, Tensor] => {
    const { name, elementType } = input;
    if (!isDType(elementType)) {
      throw new TandemError('UNSUPPORTED', `input ${name} is of type ${elementType}: noise cannot be made for it`);
    }
    const shape = concreteShape(input, dims);
    const tensor = tensorFromBytes(elementType, shape, new Uint8Array(byteLengthOf(elementType, shape)));
    for (let i = 0; i < elementCount(shape); i++) {
      if (tensor.data instanceof BigInt64Array || tensor.data instanceof BigUint64Array) tensor.data[i] = 1n;
      else if (elementType === 'float16') tensor.data.set(float16Bits(Float32Array.of(gaussian(random))), i);
      else tensor.data[i] = elementType.startsWith('float') ? gaussian(random) : randomInt(random, 0, 1);
    }
    return [name, tensor];
  });
  return Object.fromEntries(entries);
}

/** Throws USAGE for the size of a dimension, or the shape of an input, that a model has not. */
export function checkDims(inputs: readonly ValueInfo[], { sizes, shapes }: Dims): void {
  const symbols = new Set(inputs.flatMap(({ shape }) => shape ?? []).filter((dim) => typeof dim === 'string'));
  const refuseOthers = (given: object, known: readonly string[], what: string) => {
    const other = Object.keys(given).find((name) => !known.includes(name));
    if (other === undefined) return;
    throw new TandemError('USAGE', `there is no ${what} ${other}: expected one of ${known.join(', ') || 'none'}`);
  };
  refuseOthers(sizes, [...symbols], 'open dimension');
  refuseOthers(
    shapes,
    inputs.map(({ name }) => name),
    'input',
  );
}

/** A sentence for each input with a dimension that neither the file nor the caller tells. */
export function shapesTaken(inputs: readonly ValueInfo[], dims: Dims): string[] {
  const isTold = (dim: Dim) => (typeof dim === 'number' ? dim >= 0 : dim !== null && Object.hasOwn(dims.sizes, dim));
  const guessed = inputs.filter(({ name, shape }) => !Object.hasOwn(dims.shapes, name) && !shape?.every(isTold));
  return guessed.map(
    (input) =>
      `${input.name} [${input.shape?.map((dim) => dim ?? '?') ?? '?'}] was taken to be [${concreteShape(input, dims)}]: say otherwise with --dim NAME=N or --shape INPUT=N,N`,
  );
}

/** Sizes for all dimensions: as the file says, as the caller says, or a guess. */
function concreteShape({ name, shape }: ValueInfo, dims: Dims): number[] {
  const given = ownValue(dims.shapes, name);
  if (given) return [...given];
  return (shape ?? []).map((dim, axis) => {
    if (typeof dim === 'number' && dim >= 0) return dim;
    const named = typeof dim === 'string' ? ownValue(dims.sizes, dim) : undefined;
    return named ?? (axis === 0 ? BATCH : OPEN_DIM);
  });
}
