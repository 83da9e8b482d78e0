/**
 * GELU written out, x/2 * (1 + erf(x / sqrt 2)) or its approximation by tanh, in whatever order, becomes the operator Gelu,
 * which came with opset 20. It takes the time of what onnxruntime makes of the spellings that it fuses when it loads a model,
 * and less than those that it misses: 0.5 to 0.8. Below opset 20 the exact form is written in a spelling that it fuses; the
 * approximation stays, and `wantsGelu` tells whether another opset is worth it.
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
import {
  bothWays,
  isAbout,
  isClosed,
  type Match,
  type Product,
  plusConstant,
  productOf,
  replaceMatches,
} from './match.ts';

/** The version of the standard operator set that Gelu came with. */
export const GELU_OPSET = 20;

export function recogniseGelu(graph: Graph, opset: number): boolean {
  const index = indexGraph(graph);
  return replaceMatches(graph, index, (node) => {
    const gelu = matchGelu(graph, index, node);
    const output = node.outputs[0];
    if (!gelu || output === undefined) return undefined;
    if (opset >= GELU_OPSET) return { nodes: gelu.nodes, replace: () => [geluNode(gelu, output)] };
    if (gelu.form === 'tanh' || isAsRuntimesExpect(graph, index, gelu)) return undefined;
    return { nodes: gelu.nodes, replace: () => spelledOut(graph, gelu.x, output) };
  });
}

/** Whether a graph has an approximation by tanh that onnxruntime does not fuse: nothing but the operator is faster. */
export function wantsGelu(graph: Graph): boolean {
  if (!graph.nodes.some((node) => isStandard(node, 'Tanh'))) return false;
  const index = indexGraph(graph);
  return graph.nodes.some((node) => {
    const gelu = matchGelu(graph, index, node);
    return gelu?.form === 'tanh' && isClosed(index, gelu.nodes, node) && !isAsRuntimesExpect(graph, index, gelu);
  });
}

interface Gelu {
  readonly x: string;
  readonly form: 'erf' | 'tanh';
  readonly nodes: Match['nodes'];
  readonly last: Node;
  /** 1 + erf or tanh, and what erf or tanh is taken of. */
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
      return { x, form: 'erf', nodes: new Set(nodes), last, sum, inner };
    }
    const cubic = isStandard(curve, 'Tanh') ? matchCubic(graph, index, inner, x) : undefined;
    if (cubic) return { x, form: 'tanh', nodes: new Set([...nodes, ...cubic]), last, sum, inner };
  }
  return undefined;
}

const CUBIC = 0.044715;

/** sqrt(2 / pi) * (x + 0.044715 x^3), or with x taken out: ... * x * (1 + 0.044715 x^2). Gives the nodes of the bracket. */
function matchCubic(graph: Graph, index: GraphIndex, { scale, factors }: Product, x: string): Node[] | undefined {
  if (!isAbout(scale, Math.sqrt(2 / Math.PI))) return undefined;
  const isPower = (product: Product, power: number) =>
    isAbout(product.scale, CUBIC) && product.factors.length === power && product.factors.every((name) => name === x);
  const bracket = factors.filter((name) => name !== x);
  const sum = index.producer.get(bracket[0] ?? '');
  if (bracket.length !== 1 || !sum || !isStandard(sum, 'Add')) return undefined;
  const [a = '', b = ''] = sum.inputs;
  const square = plusConstant(graph, sum, 1);
  for (const [first, second] of bothWays([a, b])) {
    const power = productOf(graph, index, second, false);
    const isMatch = factors.length === 1 ? first === x && isPower(power, 3) : second === square && isPower(power, 2);
    if (isMatch) return [sum, ...power.nodes];
  }
  return undefined;
}

function geluNode({ x, form }: Gelu, output: string): Node {
  if (form === 'erf') return makeNode('Gelu', [x], [output]);
  return makeNode('Gelu', [x], [output], { approximate: { type: 'string', value: new TextEncoder().encode('tanh') } });
}

/**
 * What onnxruntime 1.30 takes for GELU by itself: of the exact form a Div in the erf, and the sum multiplied by x or by x / 2;
 * of the approximation the sum by x / 2, a cube by Pow, if it is one, and no output of the graph.
 */
function isAsRuntimesExpect(graph: Graph, index: GraphIndex, { form, nodes, last, sum, inner }: Gelu): boolean {
  const [reader] = index.consumers.get(sum.outputs[0] ?? '') ?? [];
  const isByValue = reader?.inputs.every((name) => !graph.initializers.has(name)) === true;
  if (last.op !== 'Mul' || !isByValue) return false;
  if (form === 'erf') return inner.nodes.length === 1 && inner.nodes[0]?.op === 'Div';
  const isCube = inner.factors.length === 1;
  return reader === last && !index.isOutput.has(last.outputs[0] ?? '') && (!isCube || hasPow(nodes));
}

function hasPow(nodes: Gelu['nodes']): boolean {
  return [...nodes].some(({ op }) => op === 'Pow');
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
