/**
 * The chain's files: a prepared model cut, simplified and written, and the compressed form of each segment. Cutting comes
 * before simplifying, so that no rewrite can reach across a boundary and change what it means.
 */
import { storeInt8 } from '../compress/store-weights.ts';
import type { KnownDims } from '../graph/dims.ts';
import { cloneGraph, type Model } from '../graph/graph.ts';
import { verifyGraph } from '../graph/verify.ts';
import { assertOneFile } from '../onnx/size.ts';
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
 * @param dims see extractChain
 * @param bytesMax of a segment's weights, for tests
 * @throws BAD_CUT; UNSUPPORTED for a segment that does not fit one file
 */
export function buildChain(
  model: Model,
  cuts: readonly (readonly string[])[],
  dims?: KnownDims,
  bytesMax?: number,
): Chain {
  const chain = extractChain(model.graph, cuts, dims);
  const segments = chain.segments.map(({ graph, inputs, outputs }, i) => {
    const segment = withOpset({ ...model, graph }, simplify(graph, model.opsets.get('')));
    assertOneFile(graph, `segment ${i + 1}`, 'cut it more finely', bytesMax);
    const float = writeModel(segment);
    const compressed = cloneGraph(graph);
    storeInt8(compressed);
    verifyGraph(compressed, 'after storing weights in 8 bits');
    return { inputs, outputs, float, int8: writeModel({ ...segment, graph: compressed }) };
  });
  return { boundaries: chain.boundaries, segments };
}
