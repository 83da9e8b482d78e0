/**
 * The chain's files: a prepared model cut, simplified and written, and the compressed form of each segment. Cutting comes
 * before simplifying, so that no rewrite can reach across a boundary and change what it means.
 */
import { storeInt8 } from '../compress/store-int8.ts';
import { cloneGraph, type Model } from '../graph/graph.ts';
import { verifyGraph } from '../graph/verify.ts';
import { writeModel } from '../onnx/write.ts';
import { simplify } from '../passes/index.ts';
import { withOpset } from '../passes/upgrade-opset.ts';
import { extractChain } from './extract.ts';

export interface ChainSegment {
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  /** ONNX bytes in full precision. */
  readonly float: Uint8Array;
  /** ONNX bytes with weights stored in 8 bits. */
  readonly int8: Uint8Array;
}

export interface Chain {
  /** Names of boundaries 0..K. */
  readonly boundaries: readonly (readonly string[])[];
  readonly segments: readonly ChainSegment[];
}

/**
 * @param cuts tensor names of boundaries 1..K-1
 * @throws BAD_CUT
 */
export function buildChain(model: Model, cuts: readonly (readonly string[])[]): Chain {
  const chain = extractChain(model.graph, cuts);
  const segments = chain.segments.map(({ graph, inputs, outputs }) => {
    const segment = withOpset({ ...model, graph }, simplify(graph, model.opsets.get('')));
    const float = writeModel(segment);
    const compressed = cloneGraph(graph);
    storeInt8(compressed);
    verifyGraph(compressed, 'after storing weights in 8 bits');
    return { inputs, outputs, float, int8: writeModel({ ...segment, graph: compressed }) };
  });
  return { boundaries: chain.boundaries, segments };
}
