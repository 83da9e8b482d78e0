/** Golden cases of passes: text before, text after, and the same numbers from both. */
import { expect } from 'vitest';
import { verifyGraph } from '../../../compiler/graph/verify.ts';
import type { Pass } from '../../../compiler/passes/index.ts';
import { expectSameOutputs } from '../run-graph.ts';
import { graphOf, nodeLines, textOf } from '../text-graph.ts';

/** The pass makes `after` of `before`, and onnxruntime gives the same outputs for both, within 1e-5. */
export async function expectRewrite(pass: Pass, before: string, after: string, opset = 9): Promise<void> {
  const graph = graphOf(before);
  expect(pass(graph, opset)).toBe(true);
  expect(textOf(graph)).toBe(nodeLines(after));
  verifyGraph(graph, `after ${pass.name}`);
  await expectSameOutputs(graphOf(before), graph, opset);
}

/** The pass leaves the graph alone and says so. */
export function expectRefusal(pass: Pass, text: string, opset = 9): void {
  const graph = graphOf(text);
  expect(pass(graph, opset)).toBe(false);
  expect(graph).toEqual(graphOf(text));
}
