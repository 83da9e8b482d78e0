/** Graphs of any number of nodes, in shapes that models have: what the scale bench runs through the compiler. */
import { type Constant, type Graph, ints, type Model, makeGraph, makeNode } from '../compiler/graph/graph.ts';

/** By name; each makes a model of about so many nodes. */
export const SHAPES: Readonly<Record<string, (count: number) => Model>> = {
  'plain chain': (count) => layers(count, 0),
  'residual, a third folds': residual,
  'wide branches': branches,
  'long skips': longSkips,
  'shape chains': shapeChains,
};

const CHANNELS = 8;
const BRANCHES = 8;

/** Layers one after another: MatMul and Relu with weights of `side` squared, or nodes without weights where it is 0. */
export function layers(count: number, side: number): Model {
  const { graph, last } = inTurn(count, [1, side || 4], (i, x, out, { nodes, initializers }) => {
    if (side > 0) {
      const bytes = new Uint8Array(Float32Array.from({ length: side * side }, (_, j) => Math.sin(i + j)).buffer);
      initializers.set(`w${i}`, { elementType: 'float32', shape: [side, side], bytes });
      nodes.push(makeNode('MatMul', [x, `w${i}`], [`m${i}`]), makeNode('Relu', [`m${i}`], [out]));
    } else if (i % 3 === 0) nodes.push(makeNode('Neg', [x], [out]));
    else nodes.push(makeNode('Transpose', [x], [out], { perm: ints([1, 0]) }));
  });
  return modelOf(graph, [last]);
}

/** Conv, BatchNormalization, Relu, Conv, BatchNormalization, and the sum with what the block began with. */
function residual(count: number): Model {
  const { graph, last } = inTurn(count / 6, PICTURE, (i, x, out, { nodes, initializers }) => {
    const norm = (from: string, to: string) =>
      makeNode('BatchNormalization', [from, ...NORM_OF.map((name) => `${to}.${name}`)], [to]);
    for (const side of ['a', 'b']) {
      initializers.set(`w${side}${i}`, constant([CHANNELS, CHANNELS, 1, 1]));
      for (const name of NORM_OF) initializers.set(`n${side}${i}.${name}`, constant([CHANNELS]));
    }
    nodes.push(
      makeNode('Conv', [x, `wa${i}`], [`ca${i}`]),
      norm(`ca${i}`, `na${i}`),
      makeNode('Relu', [`na${i}`], [`r${i}`]),
      makeNode('Conv', [`r${i}`, `wb${i}`], [`cb${i}`]),
      norm(`cb${i}`, `nb${i}`),
      makeNode('Add', [x, `nb${i}`], [out]),
    );
  });
  return modelOf(graph, [last]);
}

const NORM_OF = ['scale', 'bias', 'mean', 'variance'];

/** Blocks of branches side by side that are concatenated: many sets of two that are not boundaries. */
function branches(count: number): Model {
  const { graph, last } = inTurn(count / (2 * BRANCHES + 2), [1, 4], (i, x, out, { nodes }) => {
    const ends = Array.from({ length: BRANCHES }, (_, b) => `b${i}.${b}`);
    for (const end of ends) nodes.push(makeNode('Neg', [x], [`${end}.0`]), makeNode('Relu', [`${end}.0`], [end]));
    nodes.push(makeNode('Sum', ends, [`s${i}`]), makeNode('Abs', [`s${i}`], [out]));
  });
  return modelOf(graph, [last]);
}

/** A chain whose second half reads the first from the inside out, as a U-Net's does: no node but the middle can be cut at alone. */
function longSkips(count: number): Model {
  const half = Math.floor(count / 2);
  const { graph, last } = inTurn(count, [1, 4], (i, x, out, { nodes }) => {
    nodes.push(
      i < half ? makeNode('Neg', [x], [out]) : makeNode('Add', [x, `v${Math.max(0, 2 * half - i - 1)}`], [out]),
    );
  });
  return modelOf(graph, [last]);
}

/** Every fourth value's shape goes through a few nodes to a Reshape, of the next layer and of one far behind. */
function shapeChains(count: number): Model {
  const blocks = Math.floor(count / 8);
  const { graph, last } = inTurn(blocks, [1, 4], (i, x, out, { nodes, initializers }) => {
    initializers.set('zero', { elementType: 'int64', shape: [1], bytes: new Uint8Array(8) });
    const far = `s${Math.floor(i / 2)}`;
    nodes.push(
      makeNode('Shape', [x], [`sh${i}`]),
      makeNode('Gather', [`sh${i}`, 'zero'], [`g${i}`]),
      makeNode('Concat', [`g${i}`, `g${i}`], [`cc${i}`]),
      makeNode('Neg', [x], [`n${i}`]),
      makeNode('Shape', [`n${i}`], [`s${i}`]),
      makeNode('Reshape', [`n${i}`, `cc${i}`], [`r${i}`]),
      makeNode('Reshape', [`r${i}`, far], [`f${i}`]),
      makeNode('Relu', [`f${i}`], [out]),
    );
  });
  return modelOf(graph, [last]);
}

const PICTURE = [1, CHANNELS, 4, 4];

type Layer = (i: number, x: string, out: string, graph: Graph) => void;

/** Layers in turn, each from v(i-1) to v(i); the first reads x. */
function inTurn(count: number, shape: readonly number[], layer: Layer): { graph: Graph; last: string } {
  const graph = makeGraph({ inputs: [value('x', shape)], outputs: [], nodes: [] });
  let last = 'x';
  for (let i = 0; i < Math.floor(count); i++) {
    layer(i, last, `v${i}`, graph);
    last = `v${i}`;
  }
  return { graph, last };
}

function modelOf(graph: Graph, outputs: readonly string[]): Model {
  graph.outputs = outputs.map((name) => value(name, null));
  return { graph, irVersion: 8, opsets: new Map([['', 13]]), producer: 'bench', metadata: new Map() };
}

function value(name: string, shape: readonly number[] | null) {
  return { name, elementType: 'float32' as const, shape };
}

/** All 0.5. */
function constant(shape: readonly number[]): Constant {
  const elements = shape.reduce((product, dim) => product * dim, 1);
  return { elementType: 'float32', shape, bytes: new Uint8Array(new Float32Array(elements).fill(0.5).buffer) };
}
