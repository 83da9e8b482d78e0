/** A client of its own process, on a device that is made slow: asks what it is told to, one request after the other. */
import * as ort from 'onnxruntime-web';
import { connect } from '../../client/node.ts';
import type { Client } from '../../client/types.ts';
import { textLines } from '../../models/ocr-line/lines.ts';
import { messageOf } from '../../shared/errors.ts';
import { depthOf } from '../../shared/plan.ts';
import type { Picture } from '../../shared/preprocess/resize.ts';
import { type Ask, type ClientMessage, type ClientTask, OPEN } from './messages.ts';
import { type Pace, slowed } from './slow-device.ts';

const WARM_UP = 2;

const task = JSON.parse(process.argv[2] ?? '{}') as ClientTask;
const pace: Pace = { plan: null, slowness: task.slowness };
const say = (message: ClientMessage) => process.send?.(message);

try {
  ort.env.wasm.numThreads = 1;
  const pictures: Picture[] = [];
  for await (const { picture } of textLines('test', task.lines, task.seed)) pictures.push(picture);
  // What is compiled and allocated at first is so once a process, and no part of what is compared.
  const first = await open();
  for (const k of [depthOf(first.plan), 0, 3]) {
    for (let i = 0; i < WARM_UP; i++) await ask(first, pictures[i % pictures.length] as Picture, k);
  }
  await first.close();
  let client = first;
  let last = Promise.resolve();
  process.on('message', (message: Ask | typeof OPEN) => {
    const arrivedMs = performance.now();
    last = last.then(async () => {
      if (message === OPEN) {
        client = await open();
        say({ type: 'opened' });
        return;
      }
      const { route } = await ask(client, pictures[message.line] as Picture, message.k);
      const { timing, k, tier, size, bytesUp, bytesDown, fallback } = route;
      const ms = performance.now() - arrivedMs;
      say({ type: 'answer', ms, k, tier, size, timing, bytesUp, bytesDown, fallback });
    });
    last.catch(fail);
  });
  say({ type: 'ready' });
} catch (error) {
  fail(error);
}

async function open(): Promise<Client> {
  const client = await connect({
    url: task.url,
    model: 'ocr-line',
    policy: { labels: { public: 'input' } },
    ort: slowed(ort, pace),
  });
  pace.plan = client.plan;
  await client.prepare();
  return client;
}

function ask(client: Client, picture: Picture, k: number | null) {
  return client.infer(picture, { label: 'public', force: k === null ? undefined : { k } });
}

function fail(error: unknown): void {
  say({ type: 'failed', message: messageOf(error) });
}
