import { once } from 'node:events';
import { type AddressInfo, createConnection, createServer } from 'node:net';
import { fileURLToPath } from 'node:url';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import { boundedQueue } from '../../bench/side-by-side/bounded-queue.ts';
import { type ContenderName, openStage, type Stage } from '../../bench/side-by-side/stage.ts';
import { visit } from '../../bench/side-by-side/visit.ts';
import { shapeLink } from '../../client/testkit/link-shaper.ts';
import { ocrLineRecipe } from '../../models/ocr-line/recipe.ts';
import { launchChromium } from '../helpers/chromium.ts';
import { cleanLines } from '../helpers/clean-lines.ts';
import { BUNDLE_DIR } from '../helpers/processes.ts';

const chromium = inject('chromium');
const CONDITIONS = { delayMs: 5, upBytesPerS: 5e6, downBytesPerS: 5e6, queueBytes: 64 * 1024 };
const LINES = cleanLines(2);

describe.skipIf(chromium.path === null)('the side-by-side bench, on two lines and a fast link', () => {
  let browser: Browser;
  let stage: Stage;
  beforeAll(async () => {
    browser = await launchChromium(chromium.path ?? '');
    stage = await openStage({
      root: fileURLToPath(new URL('../..', import.meta.url)),
      bundle: BUNDLE_DIR,
      recipe: ocrLineRecipe(undefined),
      pictures: LINES.map(({ picture }) => picture),
    });
  });
  afterAll(async () => {
    await browser?.close();
    await stage?.close();
  });

  const visited = async (name: ContenderName) => {
    const contender = stage.contenders.find((one) => one.name === name);
    if (!contender) throw new Error(`there is no contender ${name}`);
    const task = { ...stage.scene, visitMs: 0, everyMs: 0, steadyFrom: 0, steady: LINES.length };
    const { answers, passed, memory, segmentsAtMs } = await visit(browser, contender, task, CONDITIONS);
    expect(answers.map(({ text }) => text)).toEqual([LINES[0], ...LINES].map((line) => line?.text));
    expect(memory.jsHeap).toBeGreaterThan(0);
    const { first, settled, end } = passed;
    if (!first || !settled || !end) throw new Error(`${name} did not come to its end`);
    return { ...{ first, settled, end, answers, segmentsAtMs }, wasm: memory.wasm };
  };

  test('the SDK answers before its engine and its model are here, and has them in the end', async () => {
    const { first, settled, answers, segmentsAtMs, wasm } = await visited('tandem');
    expect(answers[0]?.k).toBe(0);
    expect(segmentsAtMs).toHaveLength(5);
    expect(settled.down - first.down).toBeGreaterThan(2e6);
    expect(wasm).toBeGreaterThan(10e6);
  });

  test('the SDK that is to fetch nothing sends every line', async () => {
    const { first, end, answers, wasm } = await visited('tandem, cloud only');
    expect(answers.map(({ k }) => k)).toEqual([0, 0, 0]);
    expect(end.down - first.down).toBeLessThan(10_000);
    expect(wasm).toBe(0);
  });

  test('the upload sends every line as JPEG and has nothing of the model', async () => {
    const { first, settled, end } = await visited('upload');
    expect(end.up - settled.up).toBeGreaterThan(2000 * LINES.length);
    expect(first.down).toBeLessThan(10_000);
  });

  test.each(['local, float', 'local, 8 bits', 'Transformers.js, 8 bits'] as const)(
    '%s has all before its first answer and sends nothing',
    async (name) => {
      const { first, settled, end, wasm } = await visited(name);
      expect(first.down).toBeGreaterThan(4e6);
      expect(end).toEqual({ up: settled.up, down: first.down });
      expect(wasm).toBeGreaterThan(10e6);
    },
  );
});

test('a short exchange gets past a download that waits before the link', async () => {
  const server = createServer((socket) => {
    socket.on('error', () => {});
    socket.on('data', (data) => socket.write(data.byteLength === 1 ? Buffer.alloc(1_000_000) : data));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  let passed = () => 0;
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const queue = await boundedQueue(origin, 64 * 1024, () => passed());
  const link = await shapeLink(queue.url, { downBytesPerS: 1e6 });
  passed = () => link.passed.down;
  const connect = () => createConnection({ host: '127.0.0.1', port: Number(new URL(link.url).port), noDelay: true });
  const [bulk, short] = [connect(), connect()];
  let received = 0;
  bulk.on('data', ({ byteLength }) => {
    received += byteLength;
  });
  bulk.write('x');
  await once(bulk, 'data');
  const answeredAt: number[] = [];
  for (let i = 0; i < 3; i++) {
    short.write('hello');
    await once(short, 'data');
    answeredAt.push(received);
  }
  await expect.poll(() => received, { timeout: 5000 }).toBe(1_000_000);
  expect(answeredAt.at(-1)).toBeLessThan(500_000);
  bulk.destroy();
  short.destroy();
  await link.close();
  await queue.close();
  server.close();
});
