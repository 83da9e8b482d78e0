/** How much one ONNX file can hold: it is one protobuf message, and weights beyond that have to lie beside it. */
import { TandemError } from '../../shared/errors.ts';
import { type Constant, type Graph, subgraphs } from '../graph/graph.ts';

/** The most that one protobuf message may have (protobuf.dev, "Total Size Of The Message"); some room is left. */
export const MODEL_BYTES_MAX = 2 ** 31 - 2 ** 20;

/** Bytes of all constants: initializers, and tensors that are attributes, in bodies too. */
export function weightBytes(graph: Graph): number {
  let sum = 0;
  const add = ({ bytes }: Constant) => {
    sum += bytes.byteLength;
  };
  graph.initializers.forEach(add);
  for (const node of graph.nodes) {
    for (const { type, value } of node.attributes.values()) {
      if (type === 'tensor') add(value);
      if (type === 'tensors') value.forEach(add);
    }
    for (const body of subgraphs(node)) sum += weightBytes(body);
  }
  return sum;
}

/**
 * @param what begins the message, and `remedy` ends it
 * @param bytesMax other than MODEL_BYTES_MAX only in tests
 * @throws UNSUPPORTED for a graph whose weights do not fit one file
 */
export function assertOneFile(graph: Graph, what: string, remedy: string, bytesMax: number = MODEL_BYTES_MAX): void {
  const bytes = weightBytes(graph);
  if (bytes <= bytesMax) return;
  const size = (count: number) => (bytesMax < 1e8 ? `${count} bytes` : `${(count / 1e9).toFixed(2)} GB`);
  throw new TandemError(
    'UNSUPPORTED',
    `${what} has ${size(bytes)} of weights, one file holds ${size(bytesMax)}: ${remedy}`,
  );
}
