/**
 * Does a model survive the compiler? It is read and written, and cut at every legal boundary; each time it has to give
 * the outputs that the untouched file gives in the same runtime.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import * as ort from 'onnxruntime-node';
import { legalBoundaries } from '../compiler/cut/boundaries.ts';
import { extractChain } from '../compiler/cut/extract.ts';
import { flowOf } from '../compiler/cut/flow.ts';
import { type KnownDims, knownDims } from '../compiler/graph/dims.ts';
import { type Constant, cloneGraph, type Model } from '../compiler/graph/graph.ts';
import { inferTypes } from '../compiler/graph/infer.ts';
import { verifyGraph } from '../compiler/graph/verify.ts';
import { readModelFile } from '../compiler/onnx/files.ts';
import { readModel, readTensorFile } from '../compiler/onnx/read.ts';
import { writeModel } from '../compiler/onnx/write.ts';
import { simplify } from '../compiler/passes/index.ts';
import { liftConstants } from '../compiler/passes/lift-constants.ts';
import { OPSET_MAX, refusal, upgradeOpset, withOpset } from '../compiler/passes/upgrade-opset.ts';
import { ortRuntime } from '../runtimes/onnxruntime.ts';
import { messageOf } from '../shared/errors.ts';

type Feeds = Readonly<Record<string, ort.Tensor>>;

export interface ModelCheck {
  readonly name: string;
  /** Why the runtime cannot run the untouched file, or null. */
  readonly unrunnable: string | null;
  readonly boundaries: number;
  /** Boundaries that carry shapes besides their tensors; and how many would, were nothing made anew behind them. */
  readonly sendShapes: number;
  readonly wouldSendShapes: number;
  /** Parts in which not all boundaries were tried. */
  readonly partsCutShort: number;
  /** What keeps it from being upgraded to the newest opset that passes know, or null. */
  readonly notUpgraded: string | null;
  /** What came out otherwise than it should, and where. */
  readonly failures: readonly string[];
}

export interface CheckOptions {
  readonly tensorsMax: number;
  /** Largest difference over the largest value; 0 asks for the same bits. */
  readonly errorMax: number;
  /** Every how many boundaries to cut at one; 1 for all. */
  readonly step: number;
  /** Input values, where there is no test_data_set_0 beside the model. Those of other sizes test shapes that are made anew. */
  readonly feeds?: readonly [Feeds, ...Feeds[]];
}

/** Nothing rewritten: two ways to compute the same are compared, not two ways to optimise. */
const LITERAL: ort.InferenceSession.SessionOptions = {
  executionProviders: ['cpu'],
  graphOptimizationLevel: 'disabled',
  intraOpNumThreads: 1,
  logSeverityLevel: 4,
};
const runtime = ortRuntime(ort, 'onnxruntime-node', LITERAL);

export async function checkModelFile(path: string, name: string, options: CheckOptions): Promise<ModelCheck> {
  const nothing = {
    name,
    boundaries: 0,
    sendShapes: 0,
    wouldSendShapes: 0,
    partsCutShort: 0,
    notUpgraded: 'is not run',
  };
  let feeds: Feeds;
  let expected: Feeds;
  let others: (readonly [Feeds, Feeds])[];
  try {
    const whole = readFileSync(path);
    const [first, ...more] = options.feeds ?? [readFeeds(path)];
    feeds = first;
    expected = await run(whole, first);
    others = await Promise.all(more.map(async (other) => [other, await run(whole, other)] as const));
  } catch (error) {
    return { ...nothing, unrunnable: messageOf(error), failures: [] };
  }
  const failures: string[] = [];
  const attempt = async (
    what: string,
    work: () => Promise<Feeds>,
    { measure = largestError, errorMax = options.errorMax, wanted = expected } = {},
  ) => {
    try {
      const difference = differenceOf(await work(), wanted, measure, errorMax);
      if (difference) failures.push(`${what}: ${difference}`);
    } catch (error) {
      failures.push(`${what}: ${messageOf(error)}`);
    }
  };
  let model: Model;
  try {
    model = readModelFile(path);
    verifyGraph(model.graph, name);
  } catch (error) {
    return { ...nothing, unrunnable: null, failures: [`reading: ${messageOf(error)}`] };
  }
  const written = writeModel(model);
  if (!Buffer.from(writeModel(readModel(written, name))).equals(written)) failures.push('reading again: another graph');
  await attempt('written', () => run(written, feeds));

  liftConstants(model.graph);
  await inferTypes(model, runtime).catch((error: unknown) => failures.push(`inferring types: ${messageOf(error)}`));
  const dims = await knownDims(model, runtime);
  const { legal, partsCutShort } = legalBoundaries(flowOf(model.graph), options.tensorsMax);
  const simplified = { ...model, graph: cloneGraph(model.graph) };
  const rounded = { measure: normError, errorMax: SIMPLIFIED_ERROR_MAX };
  await attempt('simplified', () => run(simplifiedBytes(simplified), feeds), rounded);
  const opset = model.opsets.get('') ?? 0;
  const upgraded: Model = { ...model, graph: cloneGraph(model.graph) };
  const notUpgraded = refusal(upgraded.graph, opset, OPSET_MAX) ?? null;
  if (upgradeOpset(upgraded.graph, opset, OPSET_MAX)) {
    const bytes = writeModel(withOpset(upgraded, OPSET_MAX));
    await attempt(`upgraded to opset ${OPSET_MAX}`, () => run(bytes, feeds), rounded);
  }
  const picked = legal.filter((_, i) => i % options.step === 0);
  let [sendShapes, wouldSendShapes] = [0, 0];
  for (const { tensors } of picked) {
    const what = `cut at ${tensors.join(' + ')}`;
    await attempt(what, () => runCut(model, tensors, dims, feeds));
    const [sent, wouldSend] = [shapesSent(model, tensors, dims), shapesSent(model, tensors, undefined)];
    if (sent > 0) sendShapes++;
    if (wouldSend > 0) wouldSendShapes++;
    if (sent === wouldSend) continue;
    for (const [i, [other, wanted]] of others.entries()) {
      await attempt(`${what}, inputs ${i + 2}`, () => runCut(model, tensors, dims, other), { wanted });
    }
  }
  const counts = { boundaries: picked.length, sendShapes, wouldSendShapes, partsCutShort };
  return { name, unrunnable: null, ...counts, notUpgraded, failures };
}

/** How many shapes a boundary carries besides its tensors. */
function shapesSent(model: Model, tensors: readonly string[], dims: KnownDims | undefined): number {
  const [, boundary] = extractChain(model.graph, [tensors], dims).boundaries;
  return (boundary?.length ?? 0) - tensors.length;
}

/** Passes round differently, and no further off than this, by the norm. */
const SIMPLIFIED_ERROR_MAX = 1e-5;

function simplifiedBytes(model: Model): Uint8Array {
  return writeModel(withOpset(model, simplify(model.graph, model.opsets.get(''))));
}

async function runCut(model: Model, tensors: readonly string[], dims: KnownDims, feeds: Feeds): Promise<Feeds> {
  let live: Feeds = feeds;
  let outputs: Feeds = {};
  for (const { graph, inputs } of extractChain(model.graph, [tensors], dims).segments) {
    verifyGraph(graph, 'a segment');
    // Nothing but what the segment says it reads: what it forgot must not be found.
    const given = Object.fromEntries(inputs.map((name) => [name, live[name] as ort.Tensor]));
    const made = await run(writeModel({ ...model, graph }), given);
    live = { ...live, ...made };
    outputs = { ...outputs, ...made };
  }
  return outputs;
}

async function run(model: Uint8Array, feeds: Feeds): Promise<Feeds> {
  const session = await ort.InferenceSession.create(model, LITERAL);
  try {
    return await session.run(Object.fromEntries(session.inputNames.map((name) => [name, feeds[name] as ort.Tensor])));
  } finally {
    await session.release();
  }
}

/** Why two sets of outputs differ, or undefined. Only what is expected is looked at. */
function differenceOf(
  actual: Feeds,
  expected: Feeds,
  measure: typeof largestError,
  errorMax: number,
): string | undefined {
  for (const [name, want] of Object.entries(expected)) {
    const got = actual[name];
    if (!got) return `${name} is missing`;
    if (got.type !== want.type || got.dims.join() !== want.dims.join()) {
      return `${name} is ${got.type} [${got.dims}] instead of ${want.type} [${want.dims}]`;
    }
    const error = measure(got.data as ArrayLike<unknown>, want.data as ArrayLike<unknown>);
    if (error > errorMax) return `${name} is off by ${error.toExponential(1)}`;
  }
  return undefined;
}

/** Infinite for text and for NaN in one place only. */
function largestError(actual: ArrayLike<unknown>, expected: ArrayLike<unknown>): number {
  let difference = 0;
  let largest = 0;
  for (let i = 0; i < expected.length; i++) {
    if (Object.is(actual[i], expected[i])) {
      if (typeof expected[i] !== 'string') largest = Math.max(largest, Math.abs(Number(expected[i])) || 0);
      continue;
    }
    const delta = Math.abs(Number(actual[i]) - Number(expected[i]));
    if (!Number.isFinite(delta)) return Number.POSITIVE_INFINITY;
    difference = Math.max(difference, delta);
    largest = Math.max(largest, Math.abs(Number(expected[i])));
  }
  return difference === 0 ? 0 : difference / Math.max(largest, Number.MIN_VALUE);
}

/** Norm of the difference over the norm of what is expected. */
function normError(actual: ArrayLike<unknown>, expected: ArrayLike<unknown>): number {
  let [difference, power] = [0, 0];
  for (let i = 0; i < expected.length; i++) {
    if (Object.is(actual[i], expected[i])) {
      if (typeof expected[i] !== 'string' && Number.isFinite(Number(expected[i]))) power += Number(expected[i]) ** 2;
      continue;
    }
    const delta = Number(actual[i]) - Number(expected[i]);
    if (!Number.isFinite(delta)) return Number.POSITIVE_INFINITY;
    difference += delta ** 2;
    power += Number(expected[i]) ** 2;
  }
  return difference === 0 ? 0 : Math.sqrt(difference / Math.max(power, Number.MIN_VALUE));
}

/** The inputs of ONNX's test layout: test_data_set_0/input_N.pb, in the order of the model's inputs. */
function readFeeds(path: string): Feeds {
  const folder = join(path, '../test_data_set_0');
  const files = existsSync(folder) ? readdirSync(folder).filter((file) => /^input_\d+\.pb$/.test(file)) : [];
  const { graph } = readModel(readFileSync(path), path);
  const names = [...graph.inputs, ...graph.overridable].map(({ name }) => name);
  const feeds: Record<string, ort.Tensor> = {};
  for (const file of files) {
    const index = Number(/\d+/.exec(file)?.[0]);
    const { name, constant } = readTensorFile(readFileSync(join(folder, file)), file);
    feeds[name && names.includes(name) ? name : (names[index] ?? '')] = ortTensor(constant);
  }
  return feeds;
}

function ortTensor({ elementType, shape, bytes, strings }: Constant): ort.Tensor {
  const texts = strings?.map((text) => new TextDecoder().decode(text));
  const Class = ARRAYS[elementType];
  if (!texts && !Class) throw new Error(`inputs of type ${elementType} cannot be given to onnxruntime in JavaScript`);
  // A copy in a buffer of its own: slice() of a Buffer would still be a view.
  const own = new Uint8Array(bytes);
  const data = texts ?? (Class && new Class(own.buffer, 0, own.byteLength / Class.BYTES_PER_ELEMENT));
  // The overloads want each type with its own array; the table below matches them.
  const Tensor = ort.Tensor as unknown as new (type: string, data: unknown, dims: readonly number[]) => ort.Tensor;
  return new Tensor(elementType, data, shape);
}

interface ArrayClass {
  new (buffer: ArrayBuffer, byteOffset: number, length: number): ArrayBufferView;
  readonly BYTES_PER_ELEMENT: number;
}
const ARRAYS: Readonly<Record<string, ArrayClass>> = {
  ...{ float32: Float32Array, float64: Float64Array, float16: Uint16Array, bool: Uint8Array },
  ...{ int8: Int8Array, uint8: Uint8Array, int16: Int16Array, uint16: Uint16Array },
  ...{ int32: Int32Array, uint32: Uint32Array, int64: BigInt64Array, uint64: BigUint64Array },
};
