/**
 * A graph run over samples step by step, each only once: what later nodes still need is kept between steps, as long as it
 * fits. What comes after the frontier may be rewritten meanwhile.
 */

import type { Runtime } from '../../shared/runtime.ts';
import { type Tensor, type Tensors, tensorBytes } from '../../shared/tensor.ts';
import { indexGraph, type Model, makeGraph, usedValues, type ValueInfo } from '../graph/graph.ts';
import { loadModel } from '../onnx/load.ts';
import { removeDeadCode } from '../passes/dead-code.ts';
import type { SegmentSamples } from './segment-data.ts';

/** Kept values of all samples together. */
const BYTES_MAX = 2 ** 29;

/**
 * Runs all samples up to the node at an index, without it, and gives a value that is there by then, one sample after
 * the other. Indices must not fall; it must be run to its end before it is called again.
 */
export type Frontier = (end: number, name: string) => AsyncGenerator<Tensor, void>;

export function newFrontier(model: Model, samples: SegmentSamples, runtime: Runtime, bytesMax = BYTES_MAX): Frontier {
  let start = 0;
  let kept: Tensors[] | undefined;
  return async function* (end, name) {
    const live = liveAt(model, end);
    const first = await firstOf(kept ?? samples());
    if (!first) return;
    const wanted = [...new Set([name, ...live])].filter((value) => !(value in first));
    // Nothing to run is no model.
    const part = wanted.length > 0 ? await loadModel(runtime, between(model, start, end, first, wanted)) : undefined;
    const next: Tensors[] = [];
    let bytes = 0;
    try {
      for await (const sample of kept ?? samples()) {
        const values: Tensors = { ...sample, ...(await part?.run(sample)) };
        yield values[name] as Tensor;
        if (bytes > bytesMax) continue;
        const own = Object.fromEntries(Object.entries(values).filter(([value]) => live.has(value)));
        for (const tensor of Object.values(own)) bytes += tensorBytes(tensor).byteLength;
        next.push(own);
      }
    } finally {
      await part?.release();
    }
    if (bytes > bytesMax) return;
    [start, kept] = [end, next];
  };
}

async function firstOf(samples: readonly Tensors[] | AsyncIterable<Tensors>): Promise<Tensors | undefined> {
  for await (const sample of samples) return sample;
  return undefined;
}

/** Values that nodes from an index on read and those before have made. */
function liveAt({ graph }: Model, end: number): Set<string> {
  const made = new Set(graph.inputs.map(({ name }) => name));
  for (const { outputs } of graph.nodes.slice(0, end)) for (const output of outputs) made.add(output);
  return new Set(
    graph.nodes
      .slice(end)
      .flatMap(usedValues)
      .filter((name) => made.has(name)),
  );
}

function between(model: Model, start: number, end: number, feeds: Tensors, wanted: readonly string[]): Model {
  const { graph } = model;
  // Their types are the engine's to find: not all are float32.
  const outputs = wanted.map((name): ValueInfo => ({ name, elementType: 'undefined', shape: null }));
  const inputs = Object.entries(feeds).map(
    ([name, { dtype }]): ValueInfo => ({ name, elementType: dtype, shape: null }),
  );
  const nodes = graph.nodes.slice(start, end);
  const part = makeGraph({
    ...graph,
    inputs,
    outputs,
    nodes,
    initializers: new Map(graph.initializers),
    values: new Map(),
  });
  removeDeadCode(part);
  const { consumers } = indexGraph(part);
  part.inputs = inputs.filter(({ name }) => consumers.has(name));
  return { ...model, graph: part };
}
