import { describe, expect, test } from 'vitest';
import { FakeClock } from '../../client/testkit/fake-clock.ts';
import { smallPlan } from '../../client/testkit/small-plan.ts';
import { workerDevice } from '../../client/worker-device.ts';
import type { WorkerRequest, WorkerResponse } from '../../client/worker-protocol.ts';

/** A worker that answers as it is told to. */
class FakeWorker {
  onmessage: ((event: { data: WorkerResponse }) => void) | null = null;
  onerror: ((event: { message: string; preventDefault(): void }) => void) | null = null;
  onmessageerror: (() => void) | null = null;
  isTerminated = false;
  readonly asked: string[] = [];
  /** Of the newest picture, with all that goes along. */
  bytesSent = 0;
  private readonly answer: (id: number, method: string) => WorkerResponse | null;

  constructor(answer: FakeWorker['answer']) {
    this.answer = answer;
  }

  postMessage({ id, method, args }: WorkerRequest, transfer: Transferable[]): void {
    this.asked.push(method);
    const sent = structuredClone(args, { transfer });
    if (method === 'begin') this.bytesSent = (sent as typeof args).data.buffer.byteLength;
    const data = this.answer(id, method);
    if (data) queueMicrotask(() => this.onmessage?.({ data }));
  }

  terminate(): void {
    this.isTerminated = true;
  }
}

const clock = new FakeClock();

const done = (id: number): WorkerResponse => ({ type: 'done', id, result: null });

async function deviceOn(
  worker: FakeWorker,
  lost: string[] = [],
  controller = new AbortController(),
  changes: { readonly onLost?: () => void; readonly providers?: readonly string[] } = {},
) {
  const options = {
    plan: smallPlan(),
    ...{ target: 'wasm', threads: 1, providers: [], clock },
    sha256: async (content: Uint8Array | string) => `own hash of ${content.length} bytes`,
    onLost: (reason: string) => lost.push(reason),
    signal: controller.signal,
    ...changes,
  };
  return workerDevice(worker as unknown as Worker, options);
}

describe('a device in a worker', () => {
  test('leaves no worker behind when it cannot be set up', async () => {
    const worker = new FakeWorker((id) => ({ type: 'failed', id, code: 'BAD_PLAN', message: 'no' }));
    await expect(deviceOn(worker)).rejects.toMatchObject({ code: 'BAD_PLAN' });
    expect(worker.isTerminated).toBe(true);
  });

  test('nor when it is ended while it is being set up', async () => {
    const controller = new AbortController();
    const worker = new FakeWorker(() => null);
    const making = deviceOn(worker, [], controller);
    controller.abort();
    await expect(making).rejects.toMatchObject({ code: 'DEVICE_FAILED' });
    expect(worker.isTerminated).toBe(true);
  });

  test('tells of its death once, before whatever waits is rejected', async () => {
    const order: string[] = [];
    const worker = new FakeWorker((id, method) => (method === 'create' ? done(id) : null));
    const device = await deviceOn(worker, order);
    const preparing = device.prepare().catch(() => order.push('rejected'));
    worker.onerror?.({ message: 'out of memory', preventDefault() {} });
    worker.onerror?.({ message: 'again', preventDefault() {} });
    await preparing;
    expect(order).toEqual(['the worker died: out of memory', 'rejected']);
    await expect(device.prepare()).rejects.toMatchObject({ code: 'DEVICE_FAILED' });
  });

  test('that is closed is no death', async () => {
    const lost: string[] = [];
    const worker = new FakeWorker(done);
    const device = await deviceOn(worker, lost);
    await device.close();
    expect(worker.isTerminated).toBe(true);
    expect(lost).toEqual([]);
  });

  test('that does not answer is given up, but not because the page was frozen', async () => {
    const lost: string[] = [];
    const worker = new FakeWorker((id, method) => (method === 'create' ? done(id) : null));
    const device = await deviceOn(worker, lost);
    const waiting = device.prepare();
    waiting.catch(() => {});
    await clock.advance(20_500);
    expect(lost).toEqual([]);
    await clock.advance(1000);
    expect(lost).toEqual(['the worker was at prepare for more than 20 s']);
    await expect(waiting).rejects.toMatchObject({ code: 'DEVICE_FAILED' });
    expect(worker.isTerminated).toBe(true);
    const answered = new FakeWorker(done);
    const other = await deviceOn(answered, lost);
    await other.prepare();
    await clock.advance(600_000);
    expect(lost).toHaveLength(1);
  });

  test('is not stuck while it answers, or while what it was given first may take longer', async () => {
    const lost: string[] = [];
    const worker = new FakeWorker((id, method) => (method === 'create' ? done(id) : null));
    const device = await deviceOn(worker, lost);
    const picture = { width: 1, height: 1, data: new Uint8Array(4) };
    const waiting = [device.load(0, Uint8Array.of(1)), device.begin(picture), device.begin(picture)];
    for (const call of waiting) call.catch(() => {});
    await clock.advance(60_000);
    expect(lost).toEqual([]);
    worker.onmessage?.({ data: done(2) });
    await clock.advance(14_000);
    worker.onmessage?.({ data: done(3) });
    await clock.advance(14_000);
    expect(lost).toEqual([]);
    // Asking anew is no sign of life.
    device.begin(picture).catch(() => {});
    await clock.advance(3000);
    expect(lost).toEqual(['the worker was at begin for more than 15 s']);
  });

  test('has longer for a segment where another provider may have to be tried on the way', async () => {
    const lost: string[] = [];
    const worker = new FakeWorker((id, method) => (method === 'create' ? done(id) : null));
    const device = await deviceOn(worker, lost, undefined, { providers: ['webgpu'] });
    device.advance({ k: 0, size: 4, tensors: {}, picture: null }).catch(() => {});
    await clock.advance(45_500);
    expect(lost).toEqual([]);
    await clock.advance(1000);
    expect(lost).toEqual(['the worker was at advance for more than 45 s']);
  });

  test('is given models and the runtime for good: what is handed over is not held twice', async () => {
    const device = await deviceOn(new FakeWorker(done));
    const [model, runtime] = [new Uint8Array(8), new Uint8Array(8)];
    await Promise.all([device.load(0, model), device.provide?.(runtime)]);
    expect([model.byteLength, runtime.byteLength]).toEqual([0, 0]);
  });

  test.each([
    ['is had hash the runtime where it can', true, '01ab'],
    ['gets it hashed beforehand where it cannot, as over plain http', false, 'own hash of 8 bytes'],
    ['and where it is of a version that does not say', null, 'own hash of 8 bytes'],
  ])('%s', async (_, hashes, sha256) => {
    const results: Record<string, unknown> = { create: hashes, provide: hashes ? Uint8Array.of(1, 0xab).buffer : null };
    const worker = new FakeWorker((id, method) => ({ type: 'done', id, result: results[method] }));
    const device = await deviceOn(worker);
    expect(await device.provide?.(new Uint8Array(8))).toBe(sha256);
  });

  test('is given up where it says what cannot be read', async () => {
    const lost: string[] = [];
    const worker = new FakeWorker((id, method) => (method === 'create' ? done(id) : null));
    const device = await deviceOn(worker, lost);
    const waiting = device.prepare();
    worker.onmessageerror?.();
    await expect(waiting).rejects.toMatchObject({ code: 'DEVICE_FAILED' });
    expect(lost).toEqual(['the worker sent what this page cannot read']);
  });

  test('is sent the pixels of a picture alone, whatever memory they are a part of', async () => {
    const worker = new FakeWorker(done);
    const device = await deviceOn(worker);
    const memory = new Uint8Array(1024);
    await device.begin({ width: 2, height: 1, data: memory.subarray(16, 24) });
    expect(worker.bytesSent).toBe(8);
    expect(memory.byteLength).toBe(1024);
  });

  test('survives what cannot be sent to it', async () => {
    const lost: string[] = [];
    const worker = new FakeWorker(done);
    const device = await deviceOn(worker, lost);
    worker.postMessage = () => {
      throw new DOMException('could not be cloned', 'DataCloneError');
    };
    await expect(device.begin({ width: 1, height: 1, data: new Uint8Array(4) })).rejects.toThrow('could not be cloned');
    await clock.advance(60_000);
    expect(lost).toEqual([]);
  });

  test('that cannot be loaded says so to whoever makes it', async () => {
    const controller = new AbortController();
    const worker = new FakeWorker(() => null);
    const options = { onLost: () => controller.abort() };
    const making = deviceOn(worker, [], controller, options);
    worker.onerror?.({ message: '', preventDefault() {} });
    await expect(making).rejects.toThrow('serve worker.js beside the SDK, as JavaScript (npx tandem copy-assets DIR)');
  });
});
