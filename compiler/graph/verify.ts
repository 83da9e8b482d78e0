/** What a legal graph is. Runs after reading and after every pass, so that the pass that broke a graph is named. */
import { TandemError } from '../../shared/errors.ts';
import { type Graph, subgraphs } from './graph.ts';

/**
 * Checks that every value is defined once and before its use, and that every output is made.
 * @param after what happened to the graph last, for the message
 * @param isOuter whether the graph around this one, if any, has a value of that name by now
 * @throws BAD_MODEL naming the value and the node
 */
export function verifyGraph(graph: Graph, after: string, isOuter: (name: string) => boolean = () => false): void {
  const fail = (message: string): never => {
    throw new TandemError('BAD_MODEL', `${after}: ${message}`);
  };
  const own = new Set<string>();
  const isDefined = (name: string) => own.has(name) || isOuter(name);
  const define = (name: string, where: string) => {
    if (own.has(name) && !isOuter(name)) fail(`value ${name} is defined twice, again by ${where}`);
    own.add(name);
  };
  for (const name of graph.initializers.keys()) define(name, 'an initializer');
  for (const name of graph.sparse.keys()) define(name, 'a sparse initializer');
  for (const input of graph.inputs) define(input.name, 'a graph input');
  for (const node of graph.nodes) {
    const where = `${node.op} ${node.name || `making ${node.outputs[0]}`}`;
    if (node.op === '') fail(`node ${node.name} has no operator`);
    for (const input of node.inputs) {
      if (input !== '' && !isDefined(input)) fail(`${where} reads ${input}, which nothing before it makes`);
    }
    for (const body of subgraphs(node)) verifyGraph(body, `${after}, in the body of ${where}`, isDefined);
    for (const output of node.outputs) if (output !== '') define(output, where);
  }
  for (const output of graph.outputs) {
    if (!isDefined(output.name)) fail(`output ${output.name} is made by nothing`);
  }
}
