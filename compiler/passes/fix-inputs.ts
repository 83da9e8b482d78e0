/** Specialises a model: inputs that are always given the same value become constants. */
import { TandemError } from '../../shared/errors.ts';
import { elementCount, isDType, tensorFromBytes } from '../../shared/tensor.ts';
import { byteLengthOf, type Constant, type ElementType, type Graph, type ValueInfo } from '../graph/graph.ts';

/** Value of each element, by input. */
export type FixedInputs = Readonly<Record<string, number>>;

/**
 * Dimensions that the file leaves open become 1.
 * @throws USAGE for a name that is no input, an input of no known rank, or a value that its type cannot hold
 */
export function fixInputs(graph: Graph, fixed: FixedInputs): boolean {
  for (const [name, value] of Object.entries(fixed)) {
    const input = graph.inputs.find((candidate) => candidate.name === name);
    if (!input) {
      const names = graph.inputs.map((candidate) => candidate.name).join(', ');
      throw new TandemError('USAGE', `cannot fix ${name}: expected one of the inputs ${names}`);
    }
    graph.initializers.set(name, filled(input, value));
  }
  const before = graph.inputs.length;
  graph.inputs = graph.inputs.filter(({ name }) => !Object.hasOwn(fixed, name));
  return graph.inputs.length !== before;
}

function filled({ name, elementType, shape }: ValueInfo, value: number): Constant {
  const refuse = (why: string) => new TandemError('USAGE', `cannot fix ${name}, ${why}`);
  if (!isDType(elementType) || elementType === 'float16') throw refuse(`which is of type ${elementType}`);
  if (shape === null) throw refuse('whose rank the file does not tell');
  if (!holds(elementType, value)) throw refuse(`which is of type ${elementType}, at ${value}`);
  const dims = shape.map((dim) => (typeof dim === 'number' && dim >= 0 ? dim : 1));
  const bytes = new Uint8Array(byteLengthOf(elementType, dims));
  const { data } = tensorFromBytes(elementType, dims, bytes);
  for (let i = 0; i < elementCount(dims); i++) {
    if (data instanceof BigInt64Array || data instanceof BigUint64Array) data[i] = BigInt(value);
    else data[i] = value;
  }
  return { elementType, shape: dims, bytes };
}

/** Whether a value is one that elements of a type can have; floats are rounded. */
function holds(elementType: ElementType, value: number): boolean {
  if (elementType.startsWith('float')) return true;
  if (!Number.isSafeInteger(value)) return false;
  if (elementType === 'bool') return value === 0 || value === 1;
  const bits = 8 * byteLengthOf(elementType, [1]);
  const [from, to] = elementType.startsWith('u') ? [0, 2 ** bits] : [-(2 ** (bits - 1)), 2 ** (bits - 1)];
  return from <= value && value < to;
}
