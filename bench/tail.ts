/**
 * What the gateway adds to bare onnxruntime: the tail as one graph, the tail as a chain of segments, and the same chain
 * behind a WebSocket on loopback, taken in turn, with the order turned round each time. The gateway is a process of its
 * own; encoding is not counted, decoding is.
 */
import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as ort from 'onnxruntime-node';
import sharp from 'sharp';
import { WebSocket } from 'ws';
import { buildChain } from '../compiler/cut/segments.ts';
import { readSource } from '../compiler/prepare.ts';
import { inputCrossing } from '../compiler/samples/crossing.ts';
import { nodeRuntime } from '../runtimes/onnxruntime-node.ts';
import { sharpPictures } from '../runtimes/pictures-sharp.ts';
import { runSegments } from '../shared/chain.ts';
import { boundaryCodec, type Crossing } from '../shared/codec/boundary.ts';
import { depthOf } from '../shared/plan.ts';
import { decodeFrame, encodeFrame } from '../shared/protocol/frames.ts';
import { WS_PATH } from '../shared/protocol/paths.ts';
import { BUNDLE_DIR, bundleFile, demoBundle, notNeeded, ROOT } from './bundle.ts';
import { spread } from './stats.ts';

const WARM_UP_ROUNDS = 20;
const ROUNDS = Number(process.argv[2] ?? 150);
/** Cuts to measure, and the tier that arrives. */
const CASES = [
  { k: 0, tier: 'webp-80' },
  { k: 1, tier: 'q8' },
  { k: 2, tier: 'q8' },
  { k: 3, tier: 'q8' },
  { k: 3, tier: 'q4' },
  { k: 4, tier: 'q4' },
] as const;

const { plan, recipe } = await demoBundle();
const depth = depthOf(plan);
const runtime = nodeRuntime(ort, { threads: 1 });
const source = await readFile(recipe.file);
const chain = await Promise.all(plan.segments.map(async ({ server }) => runtime.load(await bundleFile(server.file))));
const codec = boundaryCodec(plan, sharpPictures(sharp));
const gateway = await startGateway();
const rows = [];
for (const { k, tier } of CASES) rows.push(await measure(k, tier));
gateway.stop();
process.stdout.write(`${JSON.stringify({ width: (await typicalInput()).size, rows })}\n`);
process.exit();

async function measure(k: number, tier: string) {
  const start = await typicalInput();
  const tensors = await runSegments(plan, chain, { from: 0, to: k, tensors: start.tensors });
  const crossing: Crossing = { ...start, k, tensors, picture: k === 0 ? start.picture : null };
  const payload = await codec.encode(crossing, tier);
  if (!payload) throw new Error(`tier ${tier} cannot be made here`);
  const cut = plan.boundaries[k]?.tensors.map(({ name }) => name) ?? [];
  const whole = buildChain(readSource(source, recipe), k === 0 ? [] : [cut]).segments.at(-1);
  const oneGraph = await runtime.load(whole?.float ?? new Uint8Array());
  const ways: Record<string, () => Promise<unknown>> = {
    oneGraph: () => oneGraph.run(tensors),
    chain: () => runSegments(plan, chain, { from: k, to: depth, tensors }),
    gateway: () => gateway.ask(k, tier, payload.parts, payload.shapes),
  };
  const times: Record<string, number[]> = { oneGraph: [], chain: [], gateway: [] };
  const order = Object.entries(ways);
  for (let round = 0; round < WARM_UP_ROUNDS + ROUNDS; round++) {
    for (const [name, run] of order.reverse()) {
      const began = performance.now();
      await run();
      if (round >= WARM_UP_ROUNDS) times[name]?.push(performance.now() - began);
    }
  }
  const bytes = payload.parts.reduce((sum, part) => sum + part.byteLength, 0);
  return { k, tier, bytes, ...Object.fromEntries(Object.entries(times).map(([name, list]) => [name, spread(list)])) };
}

/** A line whose width is the plan's typical one, as near as there is. */
async function typicalInput(): Promise<Crossing> {
  let best: Crossing | undefined;
  for await (const { input } of recipe.samples('test', 40, 1, notNeeded)) {
    const crossing = inputCrossing(plan, input);
    const distance = (other: Crossing) => Math.abs(other.size - plan.size.typical);
    if (!best || distance(crossing) < distance(best)) best = crossing;
  }
  return best as Crossing;
}

async function startGateway() {
  const folder = await mkdtemp(join(tmpdir(), 'tandem-bench-'));
  const config = join(folder, 'tandem.json');
  const policy = { labels: { public: 'input' } };
  const credentials = { anonymous: { labels: ['public'] } };
  await writeFile(config, JSON.stringify({ port: 0, workers: 1, bundles: [BUNDLE_DIR], policy, credentials }));
  const child = spawn(process.execPath, [join(ROOT, 'dist/cli/tandem.js'), 'serve', '--config', config]);
  const url = await new Promise<string>((resolve, reject) => {
    child.stdout.on('data', (chunk: Buffer) => resolve(/http:\/\/\S+/.exec(chunk.toString())?.[0] ?? ''));
    child.on('exit', () => reject(new Error('the gateway did not start')));
  });
  const socket = new WebSocket(`${url.replace('http', 'ws')}${WS_PATH}`, { perMessageDeflate: false });
  await new Promise((resolve) => socket.once('open', resolve));
  const next = () => new Promise<Buffer>((resolve) => socket.once('message', resolve));
  const welcomed = next();
  socket.send(encodeFrame({ type: 'hello', client: 'bench', token: null, receipts: false }));
  await welcomed;
  let id = 0;
  return {
    async ask(k: number, tier: string, parts: readonly Uint8Array[], shapes: readonly (readonly number[])[]) {
      const reply = next();
      socket.send(
        encodeFrame(
          {
            type: 'infer',
            id: ++id,
            plan: plan.id,
            k,
            tier,
            label: 'public',
            noise: [],
            retain: true,
            deadlineMs: 10_000,
            trace: null,
            shapes: shapes.map((shape) => [...shape]),
            parts: parts.map(({ byteLength }) => byteLength),
          },
          parts,
        ),
      );
      const { header } = decodeFrame(await reply);
      if ((header as { type: string }).type !== 'result') throw new Error(JSON.stringify(header));
    },
    stop() {
      child.removeAllListeners('exit');
      child.kill('SIGKILL');
      void rm(folder, { recursive: true, force: true });
    },
  };
}
