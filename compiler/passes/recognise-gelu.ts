/**
 * GELU written out, x/2 * (1 + erf(x / sqrt 2)), in whatever order, becomes the operator Gelu, which came with opset 20. It
 * takes the time of what onnxruntime makes of the spellings that it fuses when it loads a model, and less than those that it
 * misses: 0.5 to 0.8. Below opset 20 it is written in a spelling that it fuses. The approximation by tanh stays as it is:
 * onnxruntime's Gelu is faster, and in a real network was off by 1e-4.
 * Source: Hendrycks and Gimpel, "Gaussian Error Linear Units" (arXiv 1606.08415), 2.
 */
import {
  constantOf,
  freshName,
  type Graph,
  type GraphIndex,
  indexGraph,
  isStandard,
  makeNode,
  type Node,
} from '../graph/graph.ts';
import { bothWays, isAbout, type Match, type Product, plusConstant, productOf, replaceMatches } from './match.ts';

/** The version of the standard operator set that Gelu came with. */
const GELU_OPSET = 20;

export function recogniseGelu(graph: Graph, opset: number): boolean {
  const index = indexGraph(graph);
  return replaceMatches(graph, index, (node) => {
    const gelu = matchGelu(graph, index, node);
    const output = node.outputs[0];
    if (!gelu || output === undefined) return undefined;
    if (opset >= GELU_OPSET) return { nodes: gelu.nodes, replace: () => [makeNode('Gelu', [gelu.x], [output])] };
    if (isAsRuntimesExpect(graph, index, gelu)) return undefined;
    return { nodes: gelu.nodes, replace: () => spelledOut(graph, gelu.x, output) };
  });
}

interface Gelu {
  readonly x: string;
  readonly nodes: Match['nodes'];
  readonly last: Node;
  /** 1 + erf, and what erf is taken of. */
  readonly sum: Node;
  readonly inner: Product;
}

function matchGelu(graph: Graph, index: GraphIndex, last: Node): Gelu | undefined {
  if (!isStandard(last, 'Mul') && !isStandard(last, 'Div')) return undefined;
  const product = productOf(graph, index, last.outputs[0] ?? '');
  const [left, right] = product.factors;
  if (product.factors.length !== 2 || !isAbout(product.scale, 0.5)) return undefined;
  for (const [x, other] of bothWays([left as string, right as string])) {
    const sum = index.producer.get(other);
    const curve = index.producer.get(plusConstant(graph, sum, 1) ?? '');
    if (!sum || !curve) continue;
    const inner = productOf(graph, index, curve.inputs[0] ?? '', false);
    const nodes = [...product.nodes, sum, curve, ...inner.nodes];
    if (isStandard(curve, 'Erf') && inner.factors.join() === x && isAbout(inner.scale, Math.SQRT1_2)) {
      return { x, nodes: new Set(nodes), last, sum, inner };
    }
  }
  return undefined;
}

/** What onnxruntime 1.30 takes for GELU by itself: a Div in the erf, and the sum multiplied by x or by x / 2. */
function isAsRuntimesExpect(graph: Graph, index: GraphIndex, { last, sum, inner }: Gelu): boolean {
  const [reader] = index.consumers.get(sum.outputs[0] ?? '') ?? [];
  const isByValue = reader?.inputs.every((name) => !graph.initializers.has(name)) === true;
  return last.op === 'Mul' && isByValue && inner.nodes.length === 1 && inner.nodes[0]?.op === 'Div';
}

function spelledOut(graph: Graph, x: string, output: string): Node[] {
  const constant = (stem: string, value: number) => {
    const name = freshName(graph, `${output}.${stem}`);
    graph.initializers.set(name, constantOf({ dtype: 'float32', shape: [], data: Float32Array.of(value) }));
    return name;
  };
  const [scaled, erf, sum, product] = ['scaled', 'erf', 'sum', 'product'].map((stem) =>
    freshName(graph, `${output}.${stem}`),
  ) as [string, string, string, string];
  return [
    makeNode('Div', [x, constant('sqrt2', Math.SQRT2)], [scaled]),
    makeNode('Erf', [scaled], [erf]),
    makeNode('Add', [erf, constant('one', 1)], [sum]),
    makeNode('Mul', [x, sum], [product]),
    makeNode('Mul', [product, constant('half', 0.5)], [output]),
  ];
}
