/**
 * How far a quantized model is from the float one on samples that it was not calibrated with: at one inner value, whose many
 * numbers say more than an answer does, and on the model's own metrics. With the noise of having just these samples.
 */
import { type Graph, indexGraph, type Model } from '../compiler/graph/graph.ts';
import { writeModel } from '../compiler/onnx/write.ts';
import { serverRuntime } from '../compiler/runtimes.ts';
import { seededRandom } from '../shared/random.ts';
import type { Tensors } from '../shared/tensor.ts';
import type { BenchModel } from './quantizer-models.ts';

const RESAMPLED = 2000;

export interface HeldOut {
  readonly inputs: Tensors;
  readonly truth: string;
  /** Of the float model, with the tapped value. */
  readonly expected: Tensors;
}

export interface HeldOutError {
  /** Sum of squared errors at the tapped value, and of its squares, by sample. */
  readonly squared: readonly { readonly error: number; readonly power: number }[];
  /** The model's own, and of what share of the samples the answer is the float model's. */
  readonly metrics: Readonly<Record<string, number>>;
}

/** Runs the float model. */
export async function heldOutOf(bench: BenchModel, tap: string, count: number): Promise<HeldOut[]> {
  const session = await serverRuntime().load(writeModel(tapped(bench.model, tap)));
  const found: HeldOut[] = [];
  for await (const { inputs, truth } of bench.samples('test', count)) {
    found.push({ inputs, truth, expected: await session.run(inputs) });
  }
  await session.release();
  return found;
}

export async function heldOutError(
  { recipe }: BenchModel,
  heldOut: readonly HeldOut[],
  model: Model,
  tap: string,
): Promise<HeldOutError> {
  const session = await serverRuntime().load(writeModel(tapped(model, tap)));
  const name = readAs(model.graph, tap);
  const squared: { error: number; power: number }[] = [];
  const grades = [];
  let agreeing = 0;
  for (const { inputs, truth, expected } of heldOut) {
    const outputs = await session.run(inputs);
    let [error, power] = [0, 0];
    const actual = outputs[name]?.data;
    for (const [i, value] of ((expected[tap]?.data ?? []) as Float32Array).entries()) {
      error += (Number(actual?.[i]) - value) ** 2;
      power += value ** 2;
    }
    squared.push({ error, power });
    grades.push(recipe.judge(outputs, truth, expected));
    if (recipe.answer(outputs) === recipe.answer(expected)) agreeing++;
  }
  await session.release();
  return { squared, metrics: { ...recipe.score(grades), agreement: agreeing / Math.max(1, heldOut.length) } };
}

/** Norm of all errors over the norm of all values. */
export function relative(squared: HeldOutError['squared']): number {
  let [error, power] = [0, 0];
  for (const sample of squared) [error, power] = [error + sample.error, power + sample.power];
  return Math.sqrt(error / power);
}

/**
 * One error over another, with the interval that 95 % of draws from the same samples, with replacement, lie in. Both are of
 * the same draw. Source: Efron, "Bootstrap methods: another look at the jackknife" (1979).
 */
export function ratioOf(a: HeldOutError, b: HeldOutError): { ratio: number; low: number; high: number } {
  const random = seededRandom(1);
  const ratios = Array.from({ length: RESAMPLED }, () => {
    const drawn = a.squared.map(() => Math.floor(random() * a.squared.length));
    const [ofA, ofB] = [a, b].map(({ squared }) => relative(drawn.flatMap((i) => squared[i] ?? [])));
    return (ofA ?? 0) / (ofB ?? 1);
  }).sort((x, y) => x - y);
  const at = (share: number) => ratios[Math.floor(share * RESAMPLED)] ?? 0;
  return { ratio: relative(a.squared) / relative(b.squared), low: at(0.025), high: at(0.975) };
}

function tapped(model: Model, tap: string): Model {
  const { graph } = model;
  const name = readAs(graph, tap);
  if (graph.outputs.some((output) => output.name === name)) return model;
  return { ...model, graph: { ...graph, outputs: [...graph.outputs, { name, elementType: 'float32', shape: null }] } };
}

/** What others read of a value that is rounded to codes under another name. */
function readAs(graph: Graph, value: string): string {
  const { consumers } = indexGraph(graph);
  const codes = consumers.get(value)?.find(({ op }) => op === 'QuantizeLinear')?.outputs[0] ?? '';
  return consumers.get(codes)?.find(({ op }) => op === 'DequantizeLinear')?.outputs[0] ?? value;
}
