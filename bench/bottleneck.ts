/**
 * What a bottleneck costs in exact readings, on as many lines as it takes to see half a point: the head in full precision, the
 * boundary sent and decoded, the tail in full precision.
 *
 * `node dist/bench/bottleneck.js [lines of each seed] [seed ...]`
 */
import * as ort from 'onnxruntime-node';
import { allBoundaries } from '../compiler/cut/boundary-specs.ts';
import { inputCrossing } from '../compiler/samples/crossing.ts';
import { loadRecipe } from '../models/index.ts';
import { nodeRuntime } from '../runtimes/onnxruntime-node.ts';
import { boundaryTensors, runSegments } from '../shared/chain.ts';
import { activationCodec } from '../shared/codec/activation.ts';
import { depthOf } from '../shared/plan.ts';
import type { Tensors } from '../shared/tensor.ts';
import { notNeeded } from './bundle.ts';
import { floatChain } from './float-chain.ts';
import { markdownTable } from './stats.ts';

const [lines = 300, ...seeds] = process.argv.slice(2).map(Number);
if (![lines, ...seeds].every(Number.isInteger)) throw new Error('expected whole numbers: lines of each seed, seeds');
/** The backbone's. */
const K = 3;
const CALIBRATION_SAMPLES = 64;

const recipe = await loadRecipe('ocr-line');
const { plan, sessions } = await floatChain(recipe, nodeRuntime(ort, { threads: 1 }), CALIBRATION_SAMPLES);
const depth = depthOf(plan);
const { tensors: specs = [], tiers = [] } = plan.boundaries[K] ?? {};
const tier = tiers.find((one) => one.type === 'quantized' && one.tensors.some((tensor) => tensor?.map));
if (tier?.type !== 'quantized') throw new Error(`boundary ${K} has no bottleneck`);
const codec = activationCodec(tier, specs);
const rows: string[][] = [];
for (const seed of seeds.length > 0 ? seeds : [9]) {
  const seen = { count: 0, lost: 0, gained: 0, changed: 0, bytes: 0, raw: 0 };
  for await (const { input, truth } of recipe.samples('test', lines, seed, notNeeded)) {
    const all = await allBoundaries(plan, sessions, inputCrossing(plan, input).tensors);
    const sent = boundaryTensors(plan, K, all[K] as Tensors);
    const parts = codec.encode(sent);
    const shapes = sent.map(({ shape }) => shape);
    const decoded = codec.decode(parts, shapes).map((tensor, i) => [specs[i]?.name ?? '', tensor] as const);
    const tensors = Object.fromEntries(decoded);
    const read = recipe.answer(await runSegments(plan, sessions, { from: K, to: depth, tensors }));
    const whole = recipe.answer(all[depth] as Tensors);
    seen.count++;
    seen.changed += Number(read !== whole);
    seen.lost += Number(whole === truth && read !== truth);
    seen.gained += Number(whole !== truth && read === truth);
    seen.bytes += parts.reduce((sum, part) => sum + part.length, 0);
    seen.raw += sent.reduce((sum, { data }) => sum + 4 * data.length, 0);
  }
  const { count, lost, gained, changed, bytes, raw } = seen;
  const cells = [seed, count, lost, gained, changed, Math.round(bytes / count)].map(String);
  rows.push([...cells, (raw / bytes).toFixed(1)]);
}
const head = ['seed', 'lines', 'exact lost', 'gained', 'read otherwise', 'bytes', 'float32 is x larger'];
process.stdout.write(`k = ${K}, ${tier.name}\n\n${markdownTable(head, rows)}\n`);
process.exit();
