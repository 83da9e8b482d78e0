/** x * 1, x + 0, x / 1, x - 0 and Identity(x) give way to x, except where the graph's outputs or a body name them. */
import { capturedValues, type Graph, isStandard, type Node, scalarConstant, subgraphs } from '../graph/graph.ts';

export function removeIdentity(graph: Graph): boolean {
  const isOutput = new Set(graph.outputs.map(({ name }) => name));
  const captured = new Set(graph.nodes.flatMap(subgraphs).flatMap((body) => [...capturedValues(body)]));
  const replaced = new Map<string, string>();
  graph.nodes = graph.nodes.filter((node) => {
    node.inputs = node.inputs.map((input) => replaced.get(input) ?? input);
    const [output] = node.outputs;
    const source = identitySource(graph, node);
    if (source === undefined || output === undefined || isOutput.has(output) || captured.has(output)) return true;
    replaced.set(output, source);
    return false;
  });
  return replaced.size > 0;
}

/** The input that `node` passes on unchanged, or undefined. The constant must be a scalar: it must not broadcast. */
function identitySource(graph: Graph, node: Node): string | undefined {
  const [a = '', b = ''] = node.inputs;
  if (isStandard(node, 'Identity')) return a;
  const neutral = { Mul: 1, Div: 1, Add: 0, Sub: 0 }[node.op];
  if (neutral === undefined || node.domain !== '') return undefined;
  if (isNeutral(graph, b, neutral)) return a;
  const commutes = node.op === 'Mul' || node.op === 'Add';
  return commutes && isNeutral(graph, a, neutral) ? b : undefined;
}

function isNeutral(graph: Graph, name: string, neutral: number): boolean {
  // Rank 0 only: a constant of shape [1] or [1,1,1,1] could raise the rank of what it meets.
  return graph.initializers.get(name)?.shape.length === 0 && scalarConstant(graph, name) === neutral;
}
