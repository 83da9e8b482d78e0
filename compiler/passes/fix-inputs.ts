/** Specialises a model: inputs that are always given the same value become constants. */
import { TandemError } from '../../shared/errors.ts';
import { elementCount, isDType, tensorFromBytes } from '../../shared/tensor.ts';
import { byteLengthOf, type Constant, type Graph, type ValueInfo } from '../graph/graph.ts';

/** Value of each element, by input. */
export type FixedInputs = Readonly<Record<string, number>>;

/** @throws USAGE for a name that is no input, or an input whose shape or type does not allow it */
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
  const dims = shape?.map((dim) => (typeof dim === 'number' ? dim : 1)) ?? [];
  if (!isDType(elementType) || elementType === 'float16') {
    throw new TandemError('USAGE', `cannot fix ${name}, which is of type ${elementType}`);
  }
  const bytes = new Uint8Array(byteLengthOf(elementType, dims));
  const { data } = tensorFromBytes(elementType, dims, bytes);
  for (let i = 0; i < elementCount(dims); i++) {
    if (data instanceof BigInt64Array || data instanceof BigUint64Array) data[i] = BigInt(Math.trunc(value));
    else data[i] = value;
  }
  return { elementType, shape: dims, bytes };
}
