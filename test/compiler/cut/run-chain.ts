/** The oracle of cuts: segments one after another, each on nothing but the boundary before it. */
import type { ExtractedChain } from '../../../compiler/cut/extract.ts';
import { verifyGraph } from '../../../compiler/graph/verify.ts';
import type { Tensor, Tensors } from '../../../shared/tensor.ts';
import { runGraph } from '../run-graph.ts';

/** Gives the outputs of all. */
export async function runChain(
  { segments, boundaries }: ExtractedChain,
  feeds: Tensors,
  opset?: number,
): Promise<Tensors> {
  let live = feeds;
  let outputs: Tensors = {};
  for (const [i, { graph, inputs }] of segments.entries()) {
    verifyGraph(graph, `segment ${i + 1}`);
    const made = await runGraph(graph, pick(live, inputs), opset);
    outputs = { ...outputs, ...made };
    if (i < segments.length - 1) live = pick({ ...live, ...made }, boundaries[i + 1] ?? []);
  }
  return pick(outputs, boundaries.at(-1) ?? []);
}

function pick(tensors: Tensors, names: readonly string[]): Tensors {
  return Object.fromEntries(names.map((name) => [name, tensors[name] as Tensor]));
}
