/**
 * The OCR model's backbone made smaller in structure, without gradients: multiply-accumulates against what is read, on
 * lines of the calibration split that were drawn from another seed than those it was fitted on, and the time in wasm
 * (Node, one thread). `node dist/bench/structure.js [samples] [lines] [technique]`. Draws docs/structure.svg.
 */
import { writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import * as ortNode from 'onnxruntime-node';
import * as ortWeb from 'onnxruntime-web';
import type { StructureChoice } from '../compiler/compress/choose-structure.ts';
import { endError } from '../compiler/compress/end-error.ts';
import type { SegmentSamples } from '../compiler/compress/segment-data.ts';
import {
  chooseTogether,
  rebuildStructure,
  type StructureOptions,
  type StructurePrices,
  structurePrices,
} from '../compiler/compress/structure.ts';
import { twoSizes } from '../compiler/cut/boundary-specs.ts';
import { buildProvenChain } from '../compiler/cut/proven-chain.ts';
import type { Model } from '../compiler/graph/graph.ts';
import { median } from '../compiler/measure/fit.ts';
import { loadModel } from '../compiler/onnx/load.ts';
import { readModel } from '../compiler/onnx/read.ts';
import { writeModel } from '../compiler/onnx/write.ts';
import { prepareModel, readSourceBytes } from '../compiler/prepare.ts';
import type { Grade, PictureRecipe } from '../compiler/recipe.ts';
import { literalRuntime } from '../compiler/runtimes.ts';
import { loadRecipe } from '../models/index.ts';
import { nodeRuntime } from '../runtimes/onnxruntime-node.ts';
import { webRuntime } from '../runtimes/onnxruntime-web.ts';
import { fitPicture } from '../shared/preprocess/picture.ts';
import { pictureTensor } from '../shared/preprocess/picture-tensor.ts';
import type { Session } from '../shared/runtime.ts';
import type { Tensors } from '../shared/tensor.ts';
import { ROOT } from './bundle.ts';
import { markdownTable } from './stats.ts';
import { structurePlot } from './structure-plot.ts';

const SAMPLES = Number(process.argv[2] ?? 64);
const LINES = Number(process.argv[3] ?? 300);
const [SAMPLE_SEED, LINE_SEED] = [1, 77];
/** Segments that are made smaller: up to where attention begins. */
const BACKBONE = 3;
const SHARES = [0.9, 0.8, 0.7, 0.6, 0.5];
const ALL_TECHNIQUES = ['channels', 'low-rank', 'both'] as const;
const TECHNIQUES = ALL_TECHNIQUES.filter((name) => name === (process.argv[4] ?? name));
const TIMED_RUNS = 40;

interface Line {
  readonly feeds: Tensors;
  readonly truth: string;
}

interface Row {
  readonly technique: string;
  readonly share: number;
  readonly exactMatch: number;
  readonly cer: number;
  /** Share of lines that are read as the whole model reads them. */
  readonly agreement: number;
  readonly fitSeconds: number;
  readonly wasmMs: number;
}

const recipe = (await loadRecipe('ocr-line')) as PictureRecipe;
const server = nodeRuntime(ortNode, { threads: 1 });
const wasm = webRuntime(ortWeb, { threads: 1 });
const whole = await prepareModel(await readSourceBytes(recipe), recipe, server);
const chain = await buildProvenChain(whole, recipe.cuts, server, twoSizes(recipe.size).map(recipe.noise));
const models = chain.segments.map(({ float }, i) => readModel(float, `segment ${i + 1}`));
const float = await loadEach(models);
const samples = await lines(SAMPLES, SAMPLE_SEED);
const tested = await lines(LINES, LINE_SEED);
const boundaries: Tensors[][] = [samples.map(({ feeds }) => feeds)];
for (const session of float) boundaries.push(await through(session, boundaries.at(-1) ?? []));
const expected = await answers(float);
const floatMs = (await wasmTimes(models.slice(0, BACKBONE))).ownMs;

const rows: Row[] = [row('float', 1, expected, 0, floatMs)];
for (const technique of TECHNIQUES) await structured(technique);
report();
process.exit();

async function structured(technique: StructureOptions['technique']): Promise<void> {
  const begun = performance.now();
  const segments = models
    .slice(0, BACKBONE)
    .map((model, i) => ({ model, runtime: server, literal: literalRuntime(), samples: given(boundaries[i] ?? []) }));
  const prices: StructurePrices[] = [];
  for (const [i, data] of segments.entries()) {
    prices.push(await structurePrices(data, { technique, errorOf: await errorFrom(i + 1) }));
  }
  const priceSeconds = (performance.now() - begun) / 1000;
  for (const share of SHARES) {
    const fitBegun = performance.now();
    const choices = chooseTogether(prices, share);
    const smaller: Model[] = [];
    let inputs = boundaries[0] ?? [];
    for (const [i, data] of segments.entries()) {
      const choice = choices[i] as StructureChoice;
      const model = await rebuildStructure(data, choice, i > 0 ? given(inputs) : undefined);
      smaller.push(model);
      const session = await loadModel(server, model);
      inputs = await through(session, inputs);
      await session.release();
    }
    const seconds = priceSeconds + (performance.now() - fitBegun) / 1000;
    const kept = sum(choices.map(({ macs }) => macs)) / sum(prices.map(({ macs }) => macs));
    await add(technique, kept, smaller, seconds);
  }
}

async function add(technique: string, share: number, backbone: readonly Model[], seconds: number): Promise<void> {
  const sessions = await loadEach(backbone);
  const read = await answers([...sessions, ...float.slice(BACKBONE)]);
  for (const session of sessions) await session.release();
  const { ownMs, referenceMs } = await wasmTimes(backbone);
  rows.push(row(technique, share, read, seconds, (floatMs * ownMs) / referenceMs));
  process.stderr.write(`${JSON.stringify(rows.at(-1))}\n`);
}

/** Divergence of the probabilities of characters at the end, the segments from `k` on in full precision. */
async function errorFrom(k: number) {
  const last = models.at(-1) as Model;
  const scores = [...new Set(recipe.outputs.map(({ of }) => of))];
  const outputs = scores.map((name) => ({ name, elementType: 'float32', shape: null }) as const);
  const end = await loadModel(server, { ...last, graph: { ...last.graph, outputs } });
  return endError(async (tensors) => {
    let values = tensors;
    for (const session of [...float.slice(k, -1), end]) values = await session.run(values);
    return values;
  });
}

function row(technique: string, share: number, read: readonly string[], fitSeconds: number, ms: number): Row {
  const grades = read.map((predicted, i): Grade => ({ truth: tested[i]?.truth ?? '', predicted }));
  const { exactMatch = 0, cer = 0 } = recipe.score(grades);
  const agreement = read.filter((text, i) => text === expected[i]).length / read.length;
  return { technique, share, exactMatch, cer, agreement, fitSeconds, wasmMs: ms };
}

function report(): void {
  const percent = (value: number) => (100 * value).toFixed(1);
  process.stdout.write(
    `${cpus()[0]?.model}, Node ${process.version}; ${SAMPLES} samples, ${LINES} lines. One line more or less is ${percent(1 / LINES)} points.\n\n`,
  );
  const head = ['technique', 'MACs %', 'exact match %', 'CER %', 'as float %', 'wasm ms', 'of float', 's to make'];
  const cells = rows.map((one) => [
    ...[one.technique, percent(one.share), percent(one.exactMatch), (100 * one.cer).toFixed(2), percent(one.agreement)],
    ...[one.wasmMs.toFixed(1), (one.wasmMs / floatMs).toFixed(2), one.fitSeconds.toFixed(0)],
  ]);
  process.stdout.write(`${markdownTable(head, cells)}\n`);
  const points = TECHNIQUES.map((name) => ({
    name,
    points: [rows[0] as Row, ...rows.filter(({ technique }) => technique === name)],
  }));
  writeFileSync(join(ROOT, 'docs/structure.svg'), structurePlot(points));
}

/** Medians of the backbone at the typical width, beside float run by run: who else uses the machine slows both. */
async function wasmTimes(backbone: readonly Model[]): Promise<{ ownMs: number; referenceMs: number }> {
  const load = (some: readonly Model[]) => Promise.all(some.map((model) => wasm.load(writeModel(model))));
  const forms = [await load(backbone), await load(models.slice(0, BACKBONE))];
  const times: number[][] = [[], []];
  for (let run = 0; run < TIMED_RUNS; run++) {
    for (const [form, sessions] of forms.entries()) {
      let values = recipe.noise(recipe.size.typical);
      const begun = performance.now();
      for (const session of sessions) values = await session.run(values);
      times[form]?.push(performance.now() - begun);
    }
  }
  for (const session of forms.flat()) await session.release();
  const [ownMs = 0, referenceMs = 0] = times.map((all) => median(all));
  return { ownMs, referenceMs };
}

async function lines(count: number, seed: number): Promise<Line[]> {
  const found: Line[] = [];
  for await (const { input, truth } of recipe.samples('calibration', count, seed)) {
    const picture = fitPicture(input, recipe.preprocess, recipe.size);
    found.push({ truth, feeds: { x: pictureTensor(picture, recipe.preprocess) } });
  }
  return found;
}

async function answers(sessions: readonly Session[]): Promise<string[]> {
  const read: string[] = [];
  for (const { feeds } of tested) {
    let values = feeds;
    for (const session of sessions) values = await session.run(values);
    read.push(recipe.answer(values));
  }
  return read;
}

function given(tensors: readonly Tensors[]): SegmentSamples {
  return async function* () {
    yield* tensors;
  };
}

async function through(session: Session, inputs: readonly Tensors[]): Promise<Tensors[]> {
  const outputs: Tensors[] = [];
  for (const feeds of inputs) outputs.push({ ...(await session.run(feeds)) });
  return outputs;
}

function loadEach(some: readonly Model[]): Promise<Session[]> {
  return Promise.all(some.map((model) => loadModel(server, model)));
}

function sum(values: readonly number[]): number {
  return values.reduce((a, b) => a + b, 0);
}
