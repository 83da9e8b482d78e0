/**
 * Dimensions that may be numbers, symbols or unknown, and what can be said of several together: the words of the rules
 * beside this file.
 */
import { intAttribute, intsAttribute, type Node } from './graph.ts';

/** A number, a symbol that stands for one, or a product of both, as `24*?1*?2`. */
export type KnownDim = number | string;
export type MaybeDim = KnownDim | null;

/** What is known so far. */
export interface DimsOf {
  readonly dims: (name: string) => readonly KnownDim[] | undefined;
  /** Elements of an integer vector or scalar that may be part of a shape. */
  readonly values: (name: string) => readonly MaybeDim[] | undefined;
  /** A symbol for what the key describes, the same each time. */
  readonly symbolOf: (key: string) => string;
}

export type Dims = readonly MaybeDim[] | undefined;

/** One symbol where all agree; a number other than 1 is what the others must be, or 1. */
export function broadcast(shapes: readonly Dims[]): Dims {
  const all = shapes.filter((shape) => shape !== undefined);
  if (all.length < shapes.length) return undefined;
  const rank = Math.max(...all.map(({ length }) => length));
  return Array.from({ length: rank }, (_, axis) => {
    const dims = new Set(
      all.map((shape) => (axis < rank - shape.length ? 1 : (shape[axis - rank + shape.length] ?? null))),
    );
    dims.delete(1);
    const numbers = [...dims].filter((dim) => typeof dim === 'number');
    if (numbers.length === 1) return numbers[0] as number;
    if (dims.size === 0) return 1;
    return dims.size === 1 ? ([...dims][0] as MaybeDim) : null;
  });
}

/** A number, a symbol, or a product that is the same for the same factors. */
export function product(dims: readonly MaybeDim[]): MaybeDim {
  return quotient(dims, []);
}

/** The product of some dimensions over that of others, where that is sure to be a whole number. */
export function quotient(dims: readonly MaybeDim[], over: readonly MaybeDim[]): MaybeDim {
  if (dims.includes(null) || over.includes(null)) return null;
  const symbols = dims.flatMap(symbolsIn);
  for (const symbol of over.flatMap(symbolsIn)) {
    const at = symbols.indexOf(symbol);
    if (at < 0) return null;
    symbols.splice(at, 1);
  }
  const factor = factorOf(dims) / factorOf(over);
  if (!Number.isSafeInteger(factor)) return null;
  if (symbols.length === 0 || factor === 0) return factor;
  return factor > 0 ? [...(factor === 1 ? [] : [factor]), ...symbols.sort()].join('*') : null;
}

/** The symbols that a dimension is a product of. */
export function symbolsIn(dim: MaybeDim): string[] {
  return typeof dim === 'string' ? dim.split('*').filter((part) => Number.isNaN(Number(part))) : [];
}

function factorOf(dims: readonly MaybeDim[]): number {
  const numbers = dims.flatMap((dim) => String(dim).split('*').map(Number));
  return numbers.reduce((all, number) => (Number.isNaN(number) ? all : all * number), 1);
}

export interface Range {
  readonly start: number;
  readonly end: number;
  readonly step: number;
}

/** What a Slice takes of each axis that it names; undefined where the axes are not known. */
export function rangesOf(
  node: Node,
  known: Pick<DimsOf, 'values'>,
  rank: number,
): Map<number, Range | 'unknown'> | undefined {
  const part = (key: string, input: number): readonly MaybeDim[] | undefined =>
    node.inputs[input] ? known.values(node.inputs[input] as string) : intsAttribute(node, key);
  const [starts, ends, steps] = [part('starts', 1), part('ends', 2), part('steps', 4)];
  const axes = part('axes', 3) ?? (node.inputs[3] ? undefined : starts?.map((_, i) => i));
  if (!axes) return undefined;
  const ranges = new Map<number, Range | 'unknown'>();
  for (const [i, axis] of axes.entries()) {
    if (typeof axis !== 'number') return undefined;
    const [start, end] = [starts?.[i], ends?.[i]];
    const step = node.inputs[4] ? steps?.[i] : 1;
    const isKnown = typeof start === 'number' && typeof end === 'number' && typeof step === 'number' && step !== 0;
    ranges.set(normal(axis, rank), isKnown ? { start, end, step } : 'unknown');
  }
  return ranges;
}

export function isWhole(range: Range | 'unknown'): boolean {
  return range !== 'unknown' && range.start === 0 && range.end >= 2 ** 31 - 1 && range.step === 1;
}

/** Which elements a range takes of so many. */
export function indices(length: number, { start, end, step }: Range): number[] {
  const place = (at: number, low: number, high: number) => Math.min(high, Math.max(low, at < 0 ? at + length : at));
  const [from, to] =
    step > 0
      ? [place(start, 0, length), place(end, 0, length)]
      : [place(start, 0, length - 1), place(end, -1, length - 1)];
  const found: number[] = [];
  for (let at = from; step > 0 ? at < to : at > to; at += step) found.push(at);
  return found;
}

/** The part of a shape that a Shape node gives: all, but for its attributes since operator set 15. */
export function slicedShape<T>(node: Node, shape: readonly T[]): readonly T[] {
  const end = node.attributes.get('end');
  return shape.slice(intAttribute(node, 'start', 0), end?.type === 'int' ? Number(end.value) : undefined);
}

/** Axes by attribute or, in later operator sets, by the second input. */
export function axesOf(node: Node, known: DimsOf, rank: number): number[] | undefined {
  const axes = intsAttribute(node, 'axes') ?? known.values(node.inputs[1] ?? '');
  return axes?.every((axis) => typeof axis === 'number') ? axes.map((axis) => normal(Number(axis), rank)) : undefined;
}

/** An axis from the front. */
export function normal(axis: number, rank: number): number {
  return axis < 0 ? axis + rank : axis;
}

/** A shape of which only the length is known. */
export function unknownValues(dims: readonly KnownDim[] | undefined): Dims {
  const [length] = dims ?? [];
  return dims?.length === 1 && typeof length === 'number' && length <= 64 ? Array(length).fill(null) : undefined;
}
