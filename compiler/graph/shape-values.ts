/** How operators make shapes, and parts of them, out of one another: integer vectors and scalars, element by element. */
import {
  type Dims,
  type DimsOf,
  indices,
  type MaybeDim,
  product,
  quotient,
  rangesOf,
  slicedShape,
  unknownValues,
} from './dim-algebra.ts';
import { intAttribute, type Node } from './graph.ts';

/** Elements of the integer vector or scalar that a node makes. */
export function valuesByRule(node: Node, known: DimsOf): Dims {
  const { op, inputs } = node;
  const [x, y] = [known.values(inputs[0] ?? ''), known.values(inputs[1] ?? '')];
  const source = known.dims(inputs[0] ?? '');
  switch (op) {
    case 'Shape':
      return source && slicedShape(node, source);
    case 'Size':
      return source && [product(source)];
    case 'Identity':
    case 'Squeeze':
    case 'Unsqueeze':
    case 'Reshape':
      return x;
    case 'Cast': {
      const [INT32, INT64] = [6, 7];
      const to = intAttribute(node, 'to', 0);
      if (to === INT64) return x;
      return to === INT32 ? x?.map((value) => (Math.abs(Number(value)) >= 2 ** 31 ? null : value)) : undefined;
    }
    case 'Gather':
      if (!x || !y || source?.length !== 1 || intAttribute(node, 'axis', 0) > 0) return undefined;
      return y.map((index) => (typeof index === 'number' ? (x.at(index) ?? null) : null));
    case 'Slice': {
      const range = rangesOf(node, known, 1)?.get(0);
      if (!x || !range || range === 'unknown' || source?.length !== 1) return undefined;
      return indices(x.length, range).map((index) => x[index] ?? null);
    }
    case 'Concat': {
      const parts = inputs.map((name) => known.values(name) ?? unknownValues(known.dims(name)));
      return parts.every((part) => part !== undefined) ? parts.flat() : undefined;
    }
    case 'ReduceProd':
      if (intAttribute(node, 'noop_with_empty_axes', 0) !== 0) return undefined;
      return x && source?.length === 1 && !inputs[1] ? [product(x)] : undefined;
    case 'Add':
    case 'Sub':
    case 'Mul':
    case 'Div':
      return x && y && arithmetic(op, x, y);
    default:
      return undefined;
  }
}

function arithmetic(op: string, x: readonly MaybeDim[], y: readonly MaybeDim[]): Dims {
  if (x.length !== y.length && x.length !== 1 && y.length !== 1) return undefined;
  const neutral = op === 'Add' || op === 'Sub' ? 0 : 1;
  return Array.from({ length: x.length === 1 ? y.length : x.length }, (_, i) => {
    const [a, b] = [x[x.length === 1 ? 0 : i] ?? null, y[y.length === 1 ? 0 : i] ?? null];
    if (b === neutral) return a;
    if (a === neutral && op === 'Add') return b;
    if (op === 'Mul') return product([a, b]);
    if (op === 'Div' && (typeof a === 'string' || typeof b === 'string')) return quotient([a], [b]);
    if (typeof a !== 'number' || typeof b !== 'number' || (op === 'Div' && b === 0)) return null;
    const result = { Add: a + b, Sub: a - b, Div: Math.trunc(a / b) }[op] ?? Number.NaN;
    return Number.isSafeInteger(result) ? result : null;
  });
}
