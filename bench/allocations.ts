/**
 * What a request of the demo's model allocates in the client, and how much of it is the scheduler's: whether decisions show in a heap
 * profile. Real client and gateway, each in its own process; V8's sampling profiler, with what was collected since.
 *
 * `node dist/bench/allocations.js [requests]`
 */

import { type HeapProfiler, Session } from 'node:inspector/promises';
import * as ort from 'onnxruntime-web';
import { connect } from '../client/node.ts';
import { textLines } from '../models/ocr-line/lines.ts';
import type { Picture } from '../shared/preprocess/resize.ts';
import { demoBundle } from './bundle.ts';
import { startGateway } from './live/processes.ts';
import { markdownTable } from './stats.ts';

const SEED = 21;
const WARM_UP = 30;
const SAMPLING_BYTES = 512;
const requests = Number(process.argv[2] ?? 200);

/** Whose a function is, by where it is or what it is called: what it calls counts as its own. */
const PARTS: readonly (readonly [
  name: string,
  isOf: (frame: HeapProfiler.SamplingHeapProfileNode['callFrame']) => boolean,
])[] = [
  ['all', () => true],
  ['scheduler', ({ url }) => url.includes('/shared/schedule/')],
  ['decisions', ({ url, functionName }) => url.endsWith('/schedule/decide.js') && functionName === 'decide'],
];

await demoBundle();
ort.env.wasm.numThreads = 1;
const pictures: Picture[] = [];
for await (const { picture } of textLines('test', 20, SEED)) pictures.push(picture);
const gateway = await startGateway();
const client = await connect({
  ...{ url: gateway.url, model: 'ocr-line', policy: { labels: { public: 'input' } }, ort },
});
await client.prepare();
let decisions = 0;
await ask(WARM_UP);
const session = new Session();
session.connect();
await session.post('HeapProfiler.enable');
await session.post('HeapProfiler.startSampling', {
  ...{ samplingInterval: SAMPLING_BYTES },
  ...{ includeObjectsCollectedByMajorGC: true, includeObjectsCollectedByMinorGC: true },
});
decisions = 0;
await ask(requests);
const { profile } = await session.post('HeapProfiler.stopSampling');
const [all, ...parts] = PARTS.map(([, isOf]) => bytesOf(profile.head, isOf, false) / requests);
process.stdout.write(`${requests} requests, ${(decisions / requests).toFixed(2)} decisions each\n\n`);
const rows = [all, ...parts].map((bytes = 0, i) => {
  const share = ((100 * bytes) / (all as number)).toFixed(2);
  return [PARTS[i]?.[0] as string, (bytes / 1000).toFixed(1), `${share} %`];
});
process.stdout.write(`${markdownTable(['allocated by', 'kB a request', 'share'], rows)}\n`);
await client.close();
await gateway.kill();

async function ask(count: number): Promise<void> {
  for (let i = 0; i < count; i++) {
    const { route } = await client.infer(pictures[i % pictures.length] as Picture, { label: 'public' });
    decisions += route.decisions.length;
  }
}

function bytesOf(
  node: HeapProfiler.SamplingHeapProfileNode,
  isOf: (typeof PARTS)[number][1],
  isInside: boolean,
): number {
  const isOwn = isInside || isOf(node.callFrame);
  return node.children.reduce((sum, child) => sum + bytesOf(child, isOf, isOwn), isOwn ? node.selfSize : 0);
}
