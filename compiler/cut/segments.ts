/**
 * The chain's files: a prepared model cut, simplified and written. Cutting comes before simplifying, so that no rewrite can
 * reach across a boundary and change what it means.
 */
import type { KnownDims } from '../graph/dims.ts';
import type { Model } from '../graph/graph.ts';
import { assertOneFile } from '../onnx/size.ts';
import { writeModel } from '../onnx/write.ts';
import { simplify } from '../passes/index.ts';
import { withOpset } from '../passes/upgrade-opset.ts';
import { extractChain } from './extract.ts';

export interface ChainSegment {
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  /** In full precision: what compression starts from. */
  readonly model: Model;
  /** The same as ONNX bytes. */
  readonly float: Uint8Array;
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
    return { inputs, outputs, model: segment, float: writeModel(segment) };
  });
  return { boundaries: chain.boundaries, segments };
}
