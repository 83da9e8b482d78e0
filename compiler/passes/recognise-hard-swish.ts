/**
 * Hard-swish written out, x * clip(x + 3, 0, 6) / 6, becomes x * HardSigmoid(x) with alpha 1/6 and beta 1/2: two
 * passes over memory instead of four. The HardSwish operator itself needs opset 14 and onnxruntime expands it to the
 * same two nodes, so the older spelling serves every opset. Source: Howard et al., MobileNetV3 (arXiv 1905.02244), 5.2.
 */
import {
  float,
  floatAttribute,
  freshName,
  type Graph,
  type GraphIndex,
  indexGraph,
  isStandard,
  makeNode,
  type Node,
  scalarConstant,
} from '../graph/graph.ts';
import { isPrivate } from './match.ts';

export function recogniseHardSwish(graph: Graph): boolean {
  const index = indexGraph(graph);
  const dropped = new Set<Node>();
  const nodes: Node[] = [];
  for (const node of graph.nodes) {
    const match = matchHardSwish(graph, index, node);
    const output = node.outputs[0];
    if (!match || output === undefined) {
      nodes.push(node);
      continue;
    }
    const gate = freshName(graph, `${output}.gate`);
    nodes.push(
      makeNode('HardSigmoid', [match.x], [gate], { alpha: float(1 / 6), beta: float(0.5) }),
      makeNode('Mul', [match.x, gate], [output]),
    );
    for (const inner of match.inner) dropped.add(inner);
  }
  graph.nodes = nodes.filter((node) => !dropped.has(node));
  return dropped.size > 0;
}

/** Matches from the last node, Div(Mul(x, Clip(Add(x, 3), 0, 6)), 6), whose inner values nobody else may read. */
function matchHardSwish(graph: Graph, index: GraphIndex, node: Node): { x: string; inner: Node[] } | undefined {
  if (!isStandard(node, 'Div') || !isSix(graph, node.inputs[1] ?? '')) return undefined;
  const product = index.producer.get(node.inputs[0] ?? '');
  if (!product || !isStandard(product, 'Mul') || !isPrivate(index, product)) return undefined;
  const [left = '', right = ''] = product.inputs;
  for (const [x, gate] of [
    [left, right],
    [right, left],
  ] as const) {
    const clip = index.producer.get(gate);
    if (!clip || !isClip06(graph, clip) || !isPrivate(index, clip)) continue;
    const shift = index.producer.get(clip.inputs[0] ?? '');
    if (!shift || !isStandard(shift, 'Add') || !isPrivate(index, shift)) continue;
    const [a = '', b = ''] = shift.inputs;
    if ((a === x && scalarConstant(graph, b) === 3) || (b === x && scalarConstant(graph, a) === 3)) {
      return { x, inner: [product, clip, shift] };
    }
  }
  return undefined;
}

/** 6, in a shape that cannot raise the rank of what it divides. */
function isSix(graph: Graph, name: string): boolean {
  return (graph.initializers.get(name)?.shape.length ?? 2) <= 1 && scalarConstant(graph, name) === 6;
}

/** Bounds are attributes up to opset 10 and inputs from 11. */
function isClip06(graph: Graph, node: Node): boolean {
  if (!isStandard(node, 'Clip')) return false;
  const [, low = '', high = ''] = node.inputs;
  const min = low ? scalarConstant(graph, low) : floatAttribute(node, 'min', Number.NaN);
  const max = high ? scalarConstant(graph, high) : floatAttribute(node, 'max', Number.NaN);
  return min === 0 && max === 6;
}
