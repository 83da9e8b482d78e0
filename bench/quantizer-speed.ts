/**
 * `node dist/bench/quantizer-speed.js [model ...]`: everything that can be in 8-bit integers against float, in WebAssembly
 * under Node, one thread. What it shows is why nothing is quantized without being timed.
 */
import { calibrateRanges } from '../compiler/compress/activation-ranges.ts';
import { fusionOf } from '../compiler/compress/fused.ts';
import { quantizable, valuesToCalibrate } from '../compiler/compress/integer-groups.ts';
import { quantizedModel } from '../compiler/compress/quantize-nodes.ts';
import { saturatingLayers } from '../compiler/compress/saturation.ts';
import { relativeError } from '../compiler/measure/error.ts';
import { loadModel } from '../compiler/onnx/load.ts';
import { writeModel } from '../compiler/onnx/write.ts';
import { deviceRuntime, literalRuntime, optimizedModel } from '../compiler/runtimes.ts';
import type { Session } from '../shared/runtime.ts';
import type { Tensor, Tensors } from '../shared/tensor.ts';
import { type BenchModel, benchModels } from './quantizer-models.ts';
import { markdownTable, spread } from './stats.ts';

const CALIBRATION = 16;
/** WebAssembly is compiled anew while it runs: the first runs are slower. */
const WARM_UP = 15;
const ROUNDS = 25;

const out = (text: string) => process.stdout.write(`${text}\n`);
const names = process.argv.slice(2);
const rows: string[][] = [];
for (const model of await benchModels(names.length > 0 ? names : ['ocr-line', 'wake-word', 'text-detector'])) {
  rows.push(await compare(model));
}
out(markdownTable(['model', 'quantized', 'fused', 'float ms', 'int8 ms', 'ratio', 'relative error'], rows));

async function compare({ name, model, samples }: BenchModel): Promise<string[]> {
  const nodes = quantizable(model.graph);
  const inputs = async function* () {
    for await (const sample of samples('calibration', CALIBRATION)) yield sample.inputs;
  };
  const data = { model, samples: inputs, runtime: literalRuntime() };
  const ranges = await calibrateRanges(data, valuesToCalibrate(model.graph, nodes), 'min-max');
  const { model: integer, quantized, skipped } = quantizedModel(model, { nodes, ranges, granularity: 'channel' });
  for (const { name: value, reason } of skipped) out(`${name}: ${value} is skipped: ${reason}`);
  const fusions = fusionOf((await optimizedModel(writeModel(integer), 'device')).graph, quantized);
  for (const fusion of fusions)
    if (fusion.type === 'float') out(`${name}: ${fusion.name} ${fusion.kernel}: ${fusion.reason}`);
  const saturating = await saturatingLayers(data, ranges, 'channel');
  const seen = saturating.filter(({ share }) => share > 0);
  out(`${name}: ${saturating.length} layers could saturate int16 without VNNI, ${seen.length} did on the samples`);
  const runtime = deviceRuntime('wasm');
  const sessions = [await loadModel(runtime, model), await loadModel(runtime, integer)] as const;
  let first: Tensors = {};
  const errors: number[] = [];
  for await (const sample of samples('test', 8)) {
    first = sample.inputs;
    errors.push(await worstOutput(sessions[0], sessions[1], sample.inputs));
  }
  const [float, int8] = await times(sessions, first);
  return [
    name,
    String(quantized.length),
    String(fusions.filter(({ type }) => type !== 'float').length),
    ...[float, int8].map((ms) => (ms ?? 0).toFixed(2)),
    ((int8 ?? 0) / (float ?? 1)).toFixed(2),
    spread(errors).p50.toFixed(4),
  ];
}

async function worstOutput(float: Session, integer: Session, inputs: Tensors): Promise<number> {
  const [expected, actual] = [await float.run(inputs), await integer.run(inputs)];
  const ofFloat = Object.entries(expected).filter(([, { dtype }]) => dtype === 'float32');
  return Math.max(...ofFloat.map(([name, tensor]) => relativeError(actual[name] as Tensor, tensor)));
}

/** Median milliseconds of each, in turns. */
async function times(sessions: readonly Session[], inputs: Tensors): Promise<number[]> {
  const measured = sessions.map((): number[] => []);
  for (let round = -WARM_UP; round < ROUNDS; round++) {
    for (const [i, session] of sessions.entries()) {
      const start = performance.now();
      await session.run(inputs);
      if (round >= 0) measured[i]?.push(performance.now() - start);
    }
  }
  return measured.map((values) => spread(values).p50);
}
