/**
 * Shapes of tensors that are not there, made anew from what is: where every entry that is read is a number, or equal to a
 * dimension of a tensor that crosses. In operators that every operator set has.
 */
import { indices, type KnownDim, type MaybeDim, product, rangesOf, slicedShape } from '../graph/dim-algebra.ts';
import { type KnownDims, shapeValues } from '../graph/dims.ts';
import { type Attribute, constantOf, int, intAttribute, isStandard, makeNode, type Node } from '../graph/graph.ts';
import type { Flow } from './flow.ts';

/** The segment in which a shape is to be made. */
export interface Place {
  /** Its nodes: what others read of the shape does not matter. */
  readonly nodes: ReadonlySet<Node>;
  /** What it has to give to others, who may read all of it. */
  readonly wanted: ReadonlySet<string>;
  /** Tensors that cross into it. */
  readonly given: readonly string[];
  readonly dims: KnownDims;
  /** A name that no value has yet, beginning with a stem. */
  readonly newName: (stem: string) => string;
}

export interface Remade {
  /** In topological order. */
  readonly nodes: readonly Node[];
  /** Of the given tensors, those whose shapes they read. */
  readonly reads: readonly string[];
}

/**
 * @param node a Shape or Size
 * @returns what makes its output; undefined where what crosses does not determine that
 */
export function remakeShape(flow: Flow, node: Node, place: Place): Remade | undefined {
  const [output = ''] = node.outputs;
  const dims = place.dims.get(node.inputs[0] ?? '');
  if (!dims) return undefined;
  if (isStandard(node, 'Size')) return remadeSize(output, dims, place);
  const shape = slicedShape(node, dims);
  const read = entriesRead(flow, output, shape.length, place);
  return remadeShape(
    output,
    shape.map((dim, i) => (read.has(i) ? dim : null)),
    place,
  );
}

/** What an entry is that nobody reads. */
const UNREAD = 1;

function remadeSize(output: string, dims: readonly KnownDim[], { given, dims: known }: Place): Remade | undefined {
  const count = product(dims);
  if (typeof count === 'number') return { nodes: [constant(output, [count], [])], reads: [] };
  const like = given.find((name) => product(known.get(name) ?? []) === count);
  return like === undefined ? undefined : { nodes: [makeNode('Size', [like], [output])], reads: [like] };
}

/** Neighbouring entries that come from one place: numbers, or dimensions of one tensor. */
type Piece =
  | { readonly type: 'numbers'; readonly values: number[] }
  | { readonly type: 'dims'; readonly of: string; readonly axes: number[] };

/** @param entries null for those that nobody reads */
function remadeShape(output: string, entries: readonly MaybeDim[], place: Place): Remade | undefined {
  const isLike = (dims: readonly KnownDim[] | undefined) =>
    dims?.length === entries.length && dims.every((dim, i) => entries[i] === null || entries[i] === dim);
  const isOpen = entries.some((entry) => typeof entry === 'string');
  const like = isOpen ? place.given.find((name) => isLike(place.dims.get(name))) : undefined;
  if (like !== undefined) return { nodes: [makeNode('Shape', [like], [output])], reads: [like] };
  const pieces = piecesOf(entries, place);
  if (!pieces) return undefined;
  if (pieces.length === 0) return { nodes: [constant(output, [])], reads: [] };
  const nodes: Node[] = [];
  const shapes = new Map<string, string>();
  const add = (node: Node) => {
    nodes.push(node);
    return node.outputs[0] as string;
  };
  const parts = pieces.map((piece) => {
    const name = pieces.length === 1 ? output : place.newName(`${output}.part`);
    if (piece.type === 'numbers') return add(constant(name, piece.values));
    const shape = shapes.get(piece.of) ?? add(makeNode('Shape', [piece.of], [place.newName(`${output}.shape`)]));
    shapes.set(piece.of, shape);
    const axes = add(constant(place.newName(`${output}.axes`), piece.axes));
    return add(makeNode('Gather', [shape, axes], [name], { axis: int(0) }));
  });
  if (pieces.length > 1) add(makeNode('Concat', parts, [output], { axis: int(0) }));
  return { nodes, reads: [...shapes.keys()] };
}

function piecesOf(entries: readonly MaybeDim[], { given, dims }: Place): Piece[] | undefined {
  const pieces: Piece[] = [];
  for (const dim of entries) {
    const last = pieces.at(-1);
    const entry = dim ?? UNREAD;
    if (typeof entry === 'number') {
      if (last?.type === 'numbers') last.values.push(entry);
      else pieces.push({ type: 'numbers', values: [entry] });
      continue;
    }
    const of = given.find((name) => dims.get(name)?.includes(entry));
    if (of === undefined) return undefined;
    const axis = dims.get(of)?.indexOf(entry) as number;
    if (last?.type === 'dims' && last.of === of) last.axes.push(axis);
    else pieces.push({ type: 'dims', of, axes: [axis] });
  }
  return pieces;
}

function constant(name: string, values: readonly number[], shape: readonly number[] = [values.length]): Node {
  const data = BigInt64Array.from(values, BigInt);
  const value: Attribute = { type: 'tensor', value: constantOf({ dtype: 'int64', shape, data }) };
  return makeNode('Constant', [], [name], { value });
}

/** Of a shape of so many entries those that are read: by Gather and Slice some, by others all. */
function entriesRead(flow: Flow, shape: string, length: number, { nodes, wanted }: Place): Set<number> {
  const all = new Set(Array.from({ length }, (_, i) => i));
  const read = new Set<number>();
  const pending = [shape];
  while (pending.length > 0) {
    const name = pending.pop() as string;
    if (wanted.has(name)) return all;
    for (const node of (flow.readers.get(name) ?? []).filter((reader) => nodes.has(reader))) {
      const picked = isCopy(node) ? [] : picks(flow, node, name, length);
      if (!picked) return all;
      for (const entry of picked) read.add(entry);
      if (isCopy(node)) pending.push(...node.outputs);
    }
  }
  return read;
}

function isCopy(node: Node): boolean {
  return isStandard(node, 'Cast') || isStandard(node, 'Identity');
}

/** Which entries of a vector a node picks; undefined where that is not plain to see. */
function picks({ graph }: Flow, node: Node, vector: string, length: number): number[] | undefined {
  const values = (name: string) => {
    const initializer = graph.initializers.get(name);
    return initializer && shapeValues(initializer);
  };
  const [data, ...others] = node.inputs;
  if (data !== vector || others.includes(vector)) return undefined;
  if (isStandard(node, 'Gather') && intAttribute(node, 'axis', 0) <= 0) {
    return values(others[0] ?? '')?.map((index) => (index < 0 ? index + length : index));
  }
  const range = isStandard(node, 'Slice') ? rangesOf(node, { values }, 1)?.get(0) : undefined;
  return range === undefined || range === 'unknown' ? undefined : indices(length, range);
}
