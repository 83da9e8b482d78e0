/**
 * BatchNormalization (inference) is spelled as the per-channel affine map it is, Mul and Add, for fold-affine to take
 * up: y = x * s + (b - mean * s) with s = scale / sqrt(var + epsilon).
 */
import {
  constantOf,
  type FreshNames,
  floatAttribute,
  floatConstant,
  freshNames,
  type Graph,
  indexGraph,
  isStandard,
  makeNode,
  type Node,
} from '../graph/graph.ts';

export function lowerBatchNorm(graph: Graph): boolean {
  const { producer } = indexGraph(graph);
  const fresh = freshNames(graph);
  let changed = false;
  graph.nodes = graph.nodes.flatMap((node) => {
    const input = producer.get(node.inputs[0] ?? '');
    const nodes = isStandard(node, 'BatchNormalization') && isConv2d(graph, input) && spellOut(graph, node, fresh);
    if (!nodes) return [node];
    changed = true;
    return nodes;
  });
  return changed;
}

/** Only behind a Conv over pictures: its rank of 4 is what the shape of the constants below takes for granted. */
function isConv2d(graph: Graph, node: Node | undefined): boolean {
  return (
    node !== undefined && isStandard(node, 'Conv') && graph.initializers.get(node.inputs[1] ?? '')?.shape.length === 4
  );
}

function spellOut(graph: Graph, node: Node, fresh: FreshNames): Node[] | undefined {
  const [x = '', ...names] = node.inputs;
  const [scale, bias, mean, variance] = names.map((name) => floatConstant(graph, name)?.data);
  const [output = '', ...trained] = node.outputs;
  if (!scale || !bias || !mean || !variance || trained.some((name) => name !== '')) return undefined;
  const epsilon = floatAttribute(node, 'epsilon', 1e-5);
  const channels = scale.length;
  const factor = new Float32Array(channels);
  const offset = new Float32Array(channels);
  for (let c = 0; c < channels; c++) {
    const s = (scale[c] as number) / Math.sqrt((variance[c] as number) + epsilon);
    factor[c] = s;
    offset[c] = (bias[c] as number) - (mean[c] as number) * s;
  }
  const addConstant = (stem: string, data: Float32Array) => {
    const name = fresh(`${output}.${stem}`);
    graph.initializers.set(name, constantOf({ dtype: 'float32', shape: [1, channels, 1, 1], data }));
    return name;
  };
  const scaled = fresh(`${output}.scaled`);
  return [
    makeNode('Mul', [x, addConstant('factor', factor)], [scaled]),
    makeNode('Add', [scaled, addConstant('offset', offset)], [output]),
  ];
}
