/** The passes that simplify a segment before it is compressed or served, in the order they help each other. */
import type { Graph } from '../graph/graph.ts';
import { verifyGraph } from '../graph/verify.ts';
import { removeDeadCode } from './dead-code.ts';
import { foldAffine } from './fold-affine.ts';
import { liftConstants } from './lift-constants.ts';
import { lowerBatchNorm } from './lower-batch-norm.ts';
import { recogniseHardSwish } from './recognise-hard-swish.ts';
import { removeIdentity } from './remove-identity.ts';
import { shareCommon } from './share-common.ts';
import { simplifyShapes } from './simplify-shapes.ts';

/** A rewrite in place. Gives whether anything changed; leaves the graph legal and its outputs numerically the same. */
export type Pass = (graph: Graph) => boolean;

const PASSES: readonly Pass[] = [
  liftConstants,
  simplifyShapes,
  removeIdentity,
  shareCommon,
  recogniseHardSwish,
  lowerBatchNorm,
  foldAffine,
  removeDeadCode,
];

export function simplify(graph: Graph): void {
  for (const pass of PASSES) if (pass(graph)) verifyGraph(graph, `after the pass ${pass.name}`);
}
