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
}

/**
 * Runs a model over samples and hands over the values asked for, of one sample at a time.
 * @param names values of its graph: inputs, outputs, or inner ones, which are taken to be float32
 */
export async function visitValues(
  model: Model,
  { samples, runtime }: Pick<SegmentData, 'samples' | 'runtime'>,
  names: readonly string[],
  visit: (values: Tensors) => void,
): Promise<void> {
  const { graph } = model;
  const inputs = new Set(graph.inputs.map(({ name }) => name));
  const asked = new Set(names.filter((name) => !inputs.has(name)));
  if (asked.size === 0) {
    // A runtime does not run for nothing.
    for await (const sample of samples()) visit(sample);
    return;
  }
  const known = new Map(graph.outputs.map((output) => [output.name, output]));
  const outputs = [...asked].map((name): ValueInfo => known.get(name) ?? { name, elementType: 'float32', shape: null });
  // A model without outputs is none that a runtime would run.
  const session = outputs.length > 0 ? await loadModel(runtime, { ...model, graph: { ...graph, outputs } }) : undefined;
  try {
    for await (const sample of samples()) visit({ ...sample, ...(await session?.run(sample)) });
  } finally {
    await session?.release();
  }
}
