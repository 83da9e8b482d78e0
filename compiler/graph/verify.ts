/** What a legal graph is. Runs after reading and after every pass, so that the pass that broke a graph is named. */
import { TandemError } from '../../shared/errors.ts';
import { type Graph, subgraphs } from './graph.ts';

/**
 * Checks that every value is defined once and before its use, and that every output is made.
 * @param after what happened to the graph last, for the message
 * @throws BAD_MODEL naming the value and the node
 */
export function verifyGraph(graph: Graph, after: string, outer: ReadonlySet<string> = new Set()): void {
  const fail = (message: string): never => {
    throw new TandemError('BAD_MODEL', `${after}: ${message}`);
  };
  const defined = new Set(outer);
  const define = (name: string, where: string) => {
    if (defined.has(name) && !outer.has(name)) fail(`value ${name} is defined twice, again by ${where}`);
    defined.add(name);
  };
  for (const name of graph.initializers.keys()) define(name, 'an initializer');
  for (const name of graph.sparse.keys()) define(name, 'a sparse initializer');
  for (const input of graph.inputs) define(input.name, 'a graph input');
  for (const node of graph.nodes) {
    const where = `${node.op} ${node.name || `making ${node.outputs[0]}`}`;
    if (node.op === '') fail(`node ${node.name} has no operator`);
    for (const input of node.inputs) {
      if (input !== '' && !defined.has(input)) fail(`${where} reads ${input}, which nothing before it makes`);
    }
    for (const body of subgraphs(node)) verifyGraph(body, `${after}, in the body of ${where}`, defined);
    for (const output of node.outputs) if (output !== '') define(output, where);
  }
  for (const output of graph.outputs) {
    if (!defined.has(output.name)) fail(`output ${output.name} is made by nothing`);
  }
}
