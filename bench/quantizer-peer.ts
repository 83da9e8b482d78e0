/**
 * `node dist/bench/quantizer-peer.js PYTHON [model ...] [--round N]`: our quantizer beside onnxruntime's own, at equal settings: the same
 * model, nodes, samples and calibration. See bench/peers/README.md.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import {
  CALIBRATION_METHODS,
  calibrateRanges,
  collectHistograms,
  rangeOf,
} from '../compiler/compress/activation-ranges.ts';
import { equalize } from '../compiler/compress/equalize.ts';
import { quantizable, valuesToCalibrate } from '../compiler/compress/integer-groups.ts';
import { quantizedModel } from '../compiler/compress/quantize-nodes.ts';
import type { SegmentData } from '../compiler/compress/segment-data.ts';
import {
  cloneGraph,
  constantOf,
  freshNames,
  type Graph,
  indexGraph,
  type Model,
  scalarConstant,
} from '../compiler/graph/graph.ts';
import { readModel } from '../compiler/onnx/read.ts';
import { writeModel } from '../compiler/onnx/write.ts';
import { literalRuntime } from '../compiler/runtimes.ts';
import { type Tensors, tensorBytes } from '../shared/tensor.ts';
import { type HeldOutError, heldOutError, heldOutOf, ratioOf, relative } from './held-out-error.ts';
import { type BenchModel, benchModels } from './quantizer-models.ts';
import { markdownTable } from './stats.ts';

const HELD_OUT = 64;
/** Theirs has so long for a method: its search by entropy, in Python, is quadratic in how far the values grow. */
const PEER_MS_MAX = 600_000;
const PEER_METHODS = ['min-max', 'percentile', 'entropy', 'percentile-default', 'entropy-default'] as const;

/** Of each model the value where errors are measured, the calibration samples and the metrics shown. */
const SETTINGS: Readonly<Record<string, { tap: string; calibration: number; metrics: readonly string[] }>> = {
  'ocr-line': { tap: 'softmax_11.tmp_0', calibration: 16, metrics: ['cer', 'agreement'] },
  'wake-word': {
    ...{ tap: 'embedding/model/conv2d_19/Conv2D:0', calibration: 32 },
    metrics: ['accuracy', 'agreement', 'scoreError'],
  },
};

const { values, positionals } = parseArgs({
  options: { round: { type: 'string', default: '1' } },
  allowPositionals: true,
});
const [python = 'python3', ...names] = positionals;
const round = Number(values.round);
if (!(Number.isInteger(round) && round >= 1)) throw new Error(`expected --round from 1, got ${values.round}`);
const out = (text: string) => process.stdout.write(`${text}\n`);
for (const model of await benchModels(names.length > 0 ? names : Object.keys(SETTINGS), round)) {
  const folder = mkdtempSync(join(tmpdir(), 'tandem-peer-'));
  try {
    await compare(model, folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

async function compare(bench: BenchModel, folder: string): Promise<void> {
  const { name, model } = bench;
  const settings = SETTINGS[name];
  if (!settings) throw new Error(`there are no settings for ${name}`);
  boundsAsClips(model.graph);
  for (const node of model.graph.nodes) node.name = node.outputs[0] ?? '';
  const nodes = nodesOf(bench);
  const calibration: Tensors[] = [];
  for await (const { inputs } of bench.samples('calibration', settings.calibration)) calibration.push(inputs);
  writeForPeer(folder, writeModel(model), calibration, [...nodes, ...boundsBehind(model.graph, nodes)]);
  for (const method of PEER_METHODS) runPeer(folder, method);

  const literal = literalRuntime();
  const data = { model, samples: samplesOf(calibration), runtime: literal, literal };
  const histograms = await collectHistograms(data, valuesToCalibrate(model.graph, nodes));
  const heldOut = await heldOutOf(bench, settings.tap, HELD_OUT);
  const measure = (quantized: Model) => heldOutError(bench, heldOut, quantized, settings.tap);
  const rows: string[][] = [];
  const show = (setting: string, weights: string, ours: HeldOutError | undefined, theirs: HeldOutError | undefined) => {
    const error = (one: HeldOutError | undefined) => (one ? relative(one.squared).toFixed(4) : '-');
    const metrics = settings.metrics.map((metric) =>
      [ours, theirs].map((one) => one?.metrics[metric]?.toFixed(3) ?? '-').join(' / '),
    );
    const ratio = ours && theirs ? ratioText(ours, theirs) : '-';
    rows.push([name, setting, weights, error(ours), error(theirs), ratio, ...metrics]);
  };
  for (const granularity of ['channel', 'tensor'] as const) {
    const theirs = new Map<string, HeldOutError>();
    for (const method of PEER_METHODS) {
      const file = join(folder, `${method}-${granularity}.onnx`);
      if (!existsSync(file)) continue;
      const read = readModel(readFileSync(file), file);
      leaveFloat(read.graph, floatProducts(model, nodes));
      if (method === 'min-max') out(`${name}, ${granularity}: theirs has ${roundings(read)} QuantizeLinear`);
      theirs.set(method, await measure(read));
    }
    for (const method of CALIBRATION_METHODS) {
      const ranges = new Map([...histograms].map(([value, histogram]) => [value, rangeOf(histogram, method)]));
      const ours = quantizedModel(model, { nodes, ranges, granularity }).model;
      if (method === 'min-max') out(`${name}, ${granularity}: ours has ${roundings(ours)} QuantizeLinear`);
      show(method, granularity, await measure(ours), theirs.get(method));
    }
    show('min-max, equalized', granularity, await measure(await equalized(data, nodes, granularity)), undefined);
    show('percentile of magnitudes (their default)', granularity, undefined, theirs.get('percentile-default'));
    show('entropy, 128 bins (their default)', granularity, undefined, theirs.get('entropy-default'));
  }
  const float = (await measure(model)).metrics;
  const ofFloat = settings.metrics.map((metric) => `${metric} ${float[metric]?.toFixed(3)}`).join(', ');
  out(
    `\n${name}: ${nodes.size} nodes, ${calibration.length} samples, ${heldOut.length} held out, float: ${ofFloat}; ` +
      `error at ${settings.tap}\n`,
  );
  const head = ['model', 'calibration', 'weights', 'our error', 'their error', 'ratio (95 % of resamples)'];
  out(`${markdownTable([...head, ...settings.metrics.map((metric) => `${metric}, ours / theirs`)], rows)}\n`);
}

/** Theirs does a Clip in passing and has no such thing for Max: what means the same is written the same for both. */
function boundsAsClips(graph: Graph): void {
  const fresh = freshNames(graph);
  for (const node of graph.nodes) {
    if (node.op !== 'Max' || node.inputs.length !== 2) continue;
    const bound = node.inputs.map((name) => scalarConstant(graph, name)).find((value) => value !== undefined);
    const value = node.inputs.find((name) => !graph.initializers.has(name));
    if (bound === undefined || value === undefined) continue;
    const name = fresh(`${node.outputs[0]}.bound`);
    graph.initializers.set(name, constantOf({ dtype: 'float32', shape: [], data: Float32Array.of(bound) }));
    node.op = 'Clip';
    node.inputs = [value, name];
  }
}

/** Theirs takes in a ReLU or Clip where that is named as well. */
function boundsBehind({ nodes }: Graph, named: ReadonlySet<string>): string[] {
  return nodes
    .filter(({ op, inputs }) => (op === 'Relu' || op === 'Clip') && named.has(inputs[0] ?? ''))
    .map(({ name }) => name);
}

/** All there is to quantize; of the wake word not the spectrogram, whose powers span ten decades and have no 8-bit codes. */
function nodesOf({ name, model }: BenchModel): Set<string> {
  const all = quantizable(model.graph);
  return name === 'wake-word' ? new Set([...all].filter((node) => !node.startsWith('mel/'))) : all;
}

/** Named products that ours gives in float32, as no integers are wanted of them. */
function floatProducts(model: Model, nodes: ReadonlySet<string>): string[] {
  const needed = new Set(valuesToCalibrate(model.graph, nodes));
  return model.graph.nodes
    .filter(({ op, name }) => (op === 'MatMul' || op === 'Gemm') && nodes.has(name) && !needed.has(name))
    .map(({ name }) => name);
}

/** Takes out the rounding of values, in place. */
function leaveFloat(graph: Graph, values: readonly string[]): void {
  const { consumers } = indexGraph(graph);
  for (const value of values) {
    const quantize = consumers.get(value)?.find(({ op }) => op === 'QuantizeLinear');
    const dequantize = quantize && consumers.get(quantize.outputs[0] ?? '')?.[0];
    const rounded = dequantize?.outputs[0];
    if (rounded === undefined) continue;
    for (const reader of consumers.get(rounded) ?? []) {
      reader.inputs = reader.inputs.map((name) => (name === rounded ? value : name));
    }
    graph.nodes = graph.nodes.filter((node) => node !== quantize && node !== dequantize);
  }
}

function roundings({ graph }: Model): number {
  return graph.nodes.filter(({ op }) => op === 'QuantizeLinear').length;
}

/** With the channels of neighbouring layers evened out before. */
async function equalized(
  data: SegmentData,
  nodes: ReadonlySet<string>,
  granularity: 'tensor' | 'channel',
): Promise<Model> {
  const model = { ...data.model, graph: cloneGraph(data.model.graph) };
  equalize(model.graph);
  const ranges = await calibrateRanges({ ...data, model }, valuesToCalibrate(model.graph, nodes), 'min-max');
  return quantizedModel(model, { nodes, ranges, granularity }).model;
}

function ratioText(ours: HeldOutError, theirs: HeldOutError): string {
  const { ratio, low, high } = ratioOf(ours, theirs);
  return `${ratio.toFixed(2)} (${low.toFixed(2)} to ${high.toFixed(2)})`;
}

function samplesOf(inputs: readonly Tensors[]): SegmentData['samples'] {
  return async function* () {
    yield* inputs;
  };
}

function runPeer(folder: string, method: string): void {
  const script = fileURLToPath(new URL('../../bench/peers/quantizer.py', import.meta.url));
  const { signal } = spawnSync(python, [script, folder, method], {
    ...{ stdio: ['ignore', 'ignore', 'inherit'], timeout: PEER_MS_MAX, killSignal: 'SIGKILL' },
  });
  if (signal) out(`theirs: ${method} was stopped after ${PEER_MS_MAX / 1000} s`);
}

function writeForPeer(
  folder: string,
  model: Uint8Array,
  calibration: readonly Tensors[],
  nodes: readonly string[],
): void {
  const listed = calibration.map((sample, i) =>
    Object.fromEntries(
      Object.entries(sample).map(([name, tensor], j) => {
        const file = `sample-${i}-${j}.bin`;
        writeFileSync(join(folder, file), tensorBytes(tensor));
        return [name, { file, shape: tensor.shape }];
      }),
    ),
  );
  writeFileSync(join(folder, 'model.onnx'), model);
  writeFileSync(join(folder, 'samples.json'), JSON.stringify(listed));
  writeFileSync(join(folder, 'nodes.json'), JSON.stringify(nodes));
}
