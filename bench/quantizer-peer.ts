/**
 * `node dist/bench/quantizer-peer.js PYTHON [model ...]`: our quantizer beside onnxruntime's own, at equal settings: the same
 * model, nodes and samples. See bench/peers/README.md.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  CALIBRATION_METHODS,
  calibrateRanges,
  collectHistograms,
  rangeOf,
} from '../compiler/compress/activation-ranges.ts';
import { equalize } from '../compiler/compress/equalize.ts';
import { quantizable, valuesToCalibrate } from '../compiler/compress/integer-groups.ts';
import { quantizedModel } from '../compiler/compress/quantize-nodes.ts';
import { cloneGraph } from '../compiler/graph/graph.ts';
import { writeModel } from '../compiler/onnx/write.ts';
import { literalRuntime, serverRuntime } from '../compiler/runtimes.ts';
import { type Tensors, tensorBytes } from '../shared/tensor.ts';
import { type BenchModel, benchModels } from './quantizer-models.ts';
import { markdownTable } from './stats.ts';

const CALIBRATION = 32;
const HELD_OUT = 64;

interface HeldOut {
  readonly inputs: Tensors;
  readonly truth: string;
  readonly expected: Tensors;
}

const [python = 'python3', ...names] = process.argv.slice(2);
const out = (text: string) => process.stdout.write(`${text}\n`);
for (const model of await benchModels(names.length > 0 ? names : ['ocr-line', 'wake-word'])) {
  const folder = mkdtempSync(join(tmpdir(), 'tandem-peer-'));
  try {
    await compare(model, folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

async function compare(bench: BenchModel, folder: string): Promise<void> {
  const { name, model } = bench;
  for (const node of model.graph.nodes) node.name = node.outputs[0] ?? '';
  const nodes = nodesOf(bench);
  const float = writeModel(model);
  const calibration: Tensors[] = [];
  for await (const { inputs } of bench.samples('calibration', CALIBRATION)) calibration.push(inputs);
  const heldOut = await heldOutOf(bench, float);
  // Theirs takes in a ReLU or Clip where that is named as well.
  const bounds = model.graph.nodes
    .filter(({ op, inputs }) => (op === 'Relu' || op === 'Clip') && nodes.has(inputs[0] ?? ''))
    .map(({ name: bound }) => bound);
  writeForPeer(folder, float, calibration, new Set([...nodes, ...bounds]));
  const script = fileURLToPath(new URL('../../bench/peers/quantizer.py', import.meta.url));
  spawnSync(python, [script, folder], { stdio: ['ignore', 'ignore', 'inherit'] });
  const samples = async function* () {
    yield* calibration;
  };
  const data = { model, samples, runtime: literalRuntime() };
  const histograms = await collectHistograms(data, valuesToCalibrate(model.graph, nodes));
  const rows: string[][] = [];
  for (const method of CALIBRATION_METHODS) {
    const ranges = new Map([...histograms].map(([value, histogram]) => [value, rangeOf(histogram, method)]));
    for (const granularity of ['channel', 'tensor'] as const) {
      const ours = writeModel(quantizedModel(model, { nodes, ranges, granularity }).model);
      const file = join(folder, `${method}-${granularity}.onnx`);
      const theirs = existsSync(file) ? readFileSync(file) : undefined;
      rows.push([
        ...[name, method, granularity, ...(await measure(bench, heldOut, ours))],
        ...(theirs ? await measure(bench, heldOut, theirs) : ['-', '-']),
      ]);
    }
  }
  rows.push([name, 'min-max', 'tensor, equalized', ...(await equalized(bench, heldOut, nodes, calibration)), '-', '-']);
  const metric = bench.recipe?.metrics[0]?.name ?? 'metric';
  const float32 = await measure(bench, heldOut, float);
  out(
    `${name}: ${nodes.size} nodes, ${CALIBRATION} samples, ${heldOut.length} held out, float ${metric} ${float32[1]}\n`,
  );
  out(
    markdownTable(['model', 'method', 'weights', 'our error', `our ${metric}`, 'their error', `their ${metric}`], rows),
  );
}

/** One scale a weight, with the channels of neighbouring layers evened out before. */
async function equalized(
  bench: BenchModel,
  heldOut: readonly HeldOut[],
  nodes: ReadonlySet<string>,
  calibration: readonly Tensors[],
): Promise<string[]> {
  const model = { ...bench.model, graph: cloneGraph(bench.model.graph) };
  equalize(model.graph);
  const samples = async function* () {
    yield* calibration;
  };
  const data = { model, samples, runtime: literalRuntime() };
  const ranges = await calibrateRanges(data, valuesToCalibrate(model.graph, nodes), 'min-max');
  return measure(bench, heldOut, writeModel(quantizedModel(model, { nodes, ranges, granularity: 'tensor' }).model));
}

/** All there is to quantize; of the wake word not the spectrogram, whose powers span ten decades and have no 8-bit codes. */
function nodesOf({ name, model }: BenchModel): Set<string> {
  const all = quantizable(model.graph);
  return name === 'wake-word' ? new Set([...all].filter((node) => !node.startsWith('mel/'))) : all;
}

async function heldOutOf(bench: BenchModel, float: Uint8Array): Promise<HeldOut[]> {
  const session = await serverRuntime().load(float);
  const found: HeldOut[] = [];
  for await (const { inputs, truth } of bench.samples('test', HELD_OUT)) {
    found.push({ inputs, truth, expected: await session.run(inputs) });
  }
  await session.release();
  return found;
}

/** Norm of the error over that of the outputs, all held-out samples together, and the model's first metric. */
async function measure({ recipe }: BenchModel, heldOut: readonly HeldOut[], model: Uint8Array): Promise<string[]> {
  const session = await serverRuntime().load(model);
  let [error, power] = [0, 0];
  const grades = [];
  for (const { inputs, truth, expected } of heldOut) {
    const outputs = await session.run(inputs);
    for (const [name, { dtype, data }] of Object.entries(expected)) {
      if (dtype !== 'float32') continue;
      for (const [i, value] of (data as Float32Array).entries()) {
        error += (Number(outputs[name]?.data[i]) - value) ** 2;
        power += value ** 2;
      }
    }
    if (recipe) grades.push(recipe.judge(outputs, truth, expected));
  }
  await session.release();
  const score = recipe?.score(grades)[recipe.metrics[0]?.name ?? ''] ?? 0;
  return [Math.sqrt(error / power).toFixed(4), score.toFixed(3)];
}

function writeForPeer(
  folder: string,
  model: Uint8Array,
  calibration: readonly Tensors[],
  nodes: ReadonlySet<string>,
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
  writeFileSync(join(folder, 'nodes.json'), JSON.stringify([...nodes]));
}
