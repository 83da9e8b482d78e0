/** One segment with what flows into it: what every technique that looks at data starts from. */
import type { Runtime } from '../../shared/runtime.ts';
import type { Tensors } from '../../shared/tensor.ts';
import type { Model, ValueInfo } from '../graph/graph.ts';
import { loadModel } from '../onnx/load.ts';

/** A segment's inputs, one sample at a time; the same again each time they are asked for. */
export type SegmentSamples = () => AsyncIterable<Tensors>;

export interface SegmentData {
  /** In full precision, simplified. Not to be changed. */
  readonly model: Model;
  readonly samples: SegmentSamples;
  readonly runtime: Runtime;
  /** Runs a graph as it is written, with whatever of its values is asked for. */
  readonly literal: Runtime;
}

/**
 * Runs a model over samples and hands over the values asked for, of one sample at a time.
 * @param names values of its graph: inputs, outputs, or inner ones, which are taken to be float32
 */
export async function visitValues(
  model: Model,
  data: Pick<SegmentData, 'samples' | 'runtime'>,
  names: readonly string[],
  visit: (values: Tensors) => void,
): Promise<void> {
  for await (const values of valuesOf({ ...data, model }, names)) visit(values);
}

/** The same one by one, for what has to wait. */
export async function* valuesOf(
  { model, samples, runtime }: Omit<SegmentData, 'literal'>,
  names: readonly string[],
): AsyncGenerator<Tensors, void> {
  const { graph } = model;
  const inputs = new Set(graph.inputs.map(({ name }) => name));
  const asked = new Set(names.filter((name) => !inputs.has(name)));
  if (asked.size === 0) {
    // A runtime does not run for nothing.
    yield* samples();
    return;
  }
  const known = new Map(graph.outputs.map((output) => [output.name, output]));
  const outputs = [...asked].map((name): ValueInfo => known.get(name) ?? { name, elementType: 'float32', shape: null });
  const session = await loadModel(runtime, { ...model, graph: { ...graph, outputs } });
  try {
    for await (const sample of samples()) yield { ...sample, ...(await session.run(sample)) };
  } finally {
    await session.release();
  }
}
