/** The passes that simplify a segment before it is compressed or served, in the order they help each other. */
import type { Graph } from '../graph/graph.ts';
import { verifyGraph } from '../graph/verify.ts';
import { removeDeadCode } from './dead-code.ts';
import { foldAffine } from './fold-affine.ts';
import { liftConstants } from './lift-constants.ts';
import { lowerBatchNorm } from './lower-batch-norm.ts';
import { recogniseGelu } from './recognise-gelu.ts';
import { recogniseHardSwish } from './recognise-hard-swish.ts';
import { recogniseLayerNorm } from './recognise-layer-norm.ts';
import { recogniseSilu } from './recognise-silu.ts';
import { removeIdentity } from './remove-identity.ts';
import { shareCommon } from './share-common.ts';
import { simplifyShapes } from './simplify-shapes.ts';

/**
 * A rewrite in place of a graph whose nodes are of version `opset` of the standard operator set; 0 stands for one that is
 * not known. Gives whether anything changed; leaves the graph legal and its outputs numerically the same.
 */
export type Pass = (graph: Graph, opset: number) => boolean;

/** What the others find their patterns in. */
const TIDYING: readonly Pass[] = [liftConstants, simplifyShapes, removeIdentity, shareCommon];

const REWRITING: readonly Pass[] = [
  recogniseGelu,
  recogniseLayerNorm,
  recogniseSilu,
  recogniseHardSwish,
  lowerBatchNorm,
  foldAffine,
  removeDeadCode,
];

/**
 * Simplifies a graph in place.
 * @returns the version of the standard operator set that its nodes are of now. It is `opset`: no pass gains by a newer one
 *   and keeps the results, or `upgradeOpset` would be called here
 */
export function simplify(graph: Graph, opset = 0): number {
  run([...TIDYING, ...REWRITING], graph, opset);
  return opset;
}

function run(passes: readonly Pass[], graph: Graph, opset: number): void {
  for (const pass of passes) if (pass(graph, opset)) verifyGraph(graph, `after the pass ${pass.name}`);
}
