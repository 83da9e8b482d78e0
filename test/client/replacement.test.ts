/** A client whose device dies, or whose gateway serves another plan: both bring another installation. */
import { beforeEach, describe, expect, test } from 'vitest';
import { headDevice } from '../../client/head-device.ts';
import type { Host } from '../../client/host.ts';
import { fakePictures } from '../../client/testkit/fake-pictures.ts';
import type { Client } from '../../client/types.ts';
import { TandemError } from '../../shared/errors.ts';
import { answerOf, CLOUD_ANSWER, ClientHarness, DEVICE_ANSWER, PICTURE } from '../helpers/client-harness.ts';

let harness: ClientHarness;
beforeEach(() => {
  harness = new ClientHarness();
});

describe('a device that dies', () => {
  test('is replaced, and what it was on runs on its successor', async () => {
    const client = await harness.ready();
    harness.deviceGate = new Promise(() => {});
    const result = client.infer(PICTURE, { label: 'secret' });
    await harness.pass(1);
    await harness.loseDevice();
    expect(client.state).toMatchObject({ segmentsReady: 0, downloadError: 'out of memory' });
    harness.deviceGate = Promise.resolve();
    await harness.pass(2000);
    const { outputs } = await result;
    expect(answerOf(outputs)).toEqual(DEVICE_ANSWER);
    expect(client.state).toMatchObject({ segmentsReady: 2, downloadError: null });
    expect(harness.devices).toBe(2);
  });

  test('is told of at once, with all that is to come again', async () => {
    const client = await harness.ready();
    expect(client.state).toMatchObject({ device: 'available', bytesLoaded: 8 });
    const states: unknown[] = [];
    client.addEventListener('statechange', ({ detail }) => states.push(detail));
    await harness.loseDevice('out of memory');
    const gone = { device: 'unavailable', segmentsReady: 0, bytesLoaded: 0, downloadError: 'out of memory' };
    expect(states).toMatchObject([gone]);
  });

  test('does not take the reply with it that the gateway is still to give', async () => {
    const client = await harness.ready();
    const result = client.infer(PICTURE, { label: 'public', force: { k: 0 } });
    await harness.pass(1);
    await harness.loseDevice();
    await harness.serve();
    const { route } = await result;
    expect(route).toMatchObject({ k: 0, fallback: null });
  });

  test('comes back in a dead zone, with the plan that it had', async () => {
    const client = await harness.ready();
    harness.isReachable = false;
    await harness.cut();
    await harness.loseDevice();
    const result = client.infer(PICTURE, { label: 'secret', deadlineMs: 120_000 });
    await harness.pass(2000);
    expect(harness.devices).toBe(2);
    harness.isReachable = true;
    await harness.pass(60_000);
    expect((await result).route.k).toBe(2);
  });

  test('again and again gets no more segments, and says so; the gateway still serves', async () => {
    const client = await harness.ready();
    for (let i = 0; i < 3; i++) {
      await harness.loseDevice();
      await harness.pass(30_000);
    }
    expect(client.state).toMatchObject({ segmentsReady: 0, bytesLoaded: 0, device: 'unavailable' });
    expect(client.state.downloadError).toBe('the device died 3 times: out of memory');
    await expect(client.infer(PICTURE, { label: 'secret' })).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      message: expect.stringContaining('died 3 times'),
    });
    const result = client.infer(PICTURE, { label: 'public' });
    await harness.serve();
    expect((await result).route).toMatchObject({ k: 0, fallback: null });
  });

  test('that cannot be made again is given up in the end', async () => {
    const client = await harness.ready();
    harness.onDevice = (device) => ({ ...device, prepare: () => Promise.reject(new Error('no worker')) });
    await harness.loseDevice();
    await harness.pass(600_000);
    expect(harness.devices).toBeLessThan(8);
    await expect(client.infer(PICTURE, { label: 'public' })).rejects.toMatchObject({ code: 'DEVICE_FAILED' });
  });

  test('while its request waits for a gateway that never answers: it begins anew on the next device', async () => {
    const client = await harness.ready();
    const result = client.infer(PICTURE, { label: 'public', force: { k: 1 } });
    await harness.pass(1);
    await harness.loseDevice();
    harness.isReachable = false;
    await harness.pass(3000);
    harness.isReachable = true;
    await harness.pass(5000);
    await harness.cut();
    await harness.pass(5000);
    const { route } = await result;
    expect(route.k).toBe(2);
  });

  test('is given up when it dies again and again', async () => {
    const client = await harness.ready();
    for (let i = 0; i < 8; i++) {
      await harness.loseDevice();
      await harness.pass(60_000);
    }
    expect(harness.devices).toBe(6);
    await expect(client.infer(PICTURE, { label: 'secret' })).rejects.toMatchObject({
      code: 'DEVICE_FAILED',
      message: 'out of memory',
    });
  });

  test('is not asked for again and again where the gateway serves another plan by then', async () => {
    const client = await harness.ready();
    for (let i = 0; i < 8; i++) {
      await harness.loseDevice();
      await harness.pass(60_000);
    }
    harness.changePlan();
    await harness.cut();
    await harness.pass(5000);
    let changes = 0;
    client.addEventListener('statechange', () => changes++);
    await harness.pass(60_000);
    expect(changes).toBe(0);
  });

  test('that died long after its birth is a new story', async () => {
    await harness.ready();
    for (let i = 0; i < 8; i++) {
      await harness.loseDevice();
      await harness.pass(400_000);
    }
    expect(harness.devices).toBe(9);
  });

  test('that cannot read the picture says so', async () => {
    harness.broken.add('begin');
    const client = await harness.ready();
    await expect(client.infer(PICTURE, { label: 'public' })).rejects.toMatchObject({ code: 'DEVICE_FAILED' });
  });
});

const headDevices = (): Pick<Host, 'headDevice'> => ({
  headDevice: (plan) => headDevice(plan, 'wasm', fakePictures(), harness.clock),
});

describe('a page on which no worker can be made', () => {
  const noWorker = (): Partial<Host> => ({
    ...headDevices(),
    async createDevice() {
      harness.devices++;
      throw new Error('the policy of this page forbids workers');
    },
  });

  test('is served by the gateway, and says in time that the device never will', async () => {
    harness.head = harness.plan;
    const client = await harness.connect({}, noWorker());
    await harness.pass(1);
    const result = client.infer(PICTURE, { label: 'public' });
    await harness.serve();
    expect((await result).route.k).toBe(0);

    await harness.pass(1000);
    expect(client.state.downloadError).toMatch(/forbids workers$/);
    const prepared = expect(client.prepare()).rejects.toMatchObject({ code: 'DEVICE_FAILED' });
    await harness.pass(120_000);
    await prepared;
    const message = 'the device could not be made: the policy of this page forbids workers';
    expect(client.state).toMatchObject({ device: 'unavailable', downloadError: message });
    await expect(client.infer(PICTURE, { label: 'secret' })).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      message: expect.stringContaining(message),
    });
    await expect(client.prepare()).rejects.toMatchObject({ code: 'DEVICE_FAILED' });
    // And it stops trying.
    const { devices } = harness;
    const { length } = harness.fetches;
    await harness.pass(3_600_000);
    expect([harness.devices, harness.fetches.length]).toEqual([devices, length]);
  });

  test('says so at once where there are none, as in a service worker', async () => {
    harness.head = harness.plan;
    const createDevice = async () => {
      harness.devices++;
      throw new ReferenceError('Worker is not defined');
    };
    const client = await harness.connect({}, { ...headDevices(), createDevice });
    await harness.pass(1000);
    const message = 'the device could not be made: Worker is not defined';
    await expect(client.prepare()).rejects.toMatchObject({ code: 'DEVICE_FAILED', message });
    await expect(client.infer(PICTURE, { label: 'secret' })).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    await harness.pass(3_600_000);
    expect([harness.devices, client.state.device]).toEqual([1, 'unavailable']);
  });

  test('is so at the next visit too, with the plan that was kept', async () => {
    await (await harness.ready()).close();
    const client = await harness.connect({}, noWorker());
    await harness.pass(1);
    const result = client.infer(PICTURE, { label: 'public' });
    await harness.serve();
    expect((await result).route.k).toBe(0);
  });

  test('follows its gateway to another plan, long after it gave up on workers', async () => {
    harness.head = harness.plan;
    const client = await harness.connect({}, noWorker());
    await harness.pass(1);
    const before = client.infer(PICTURE, { label: 'public' });
    await harness.serve();
    expect((await before).route.k).toBe(0);
    await harness.pass(300_000);
    harness.changePlan();
    await harness.cut();
    await harness.pass(60_000);
    expect(client.state.link).toBe('open');
    const after = client.infer(PICTURE, { label: 'public', deadlineMs: 20_000 });
    after.catch(() => {});
    await harness.pass(10_000);
    harness.gateway.executor.finish(CLOUD_ANSWER);
    await harness.pass(15_000);
    expect(answerOf((await after).outputs)).toEqual(CLOUD_ANSWER);
    await expect(client.prepare()).rejects.toMatchObject({ message: expect.stringContaining('worker') });
    expect(client.state).toMatchObject({ device: 'unavailable', downloadError: expect.stringContaining('worker') });
  });
});

describe('devices that could not be made for a while', () => {
  let makes: boolean;
  beforeEach(() => {
    makes = true;
  });
  /** Of a page to which the worker's script does not always come. */
  const flaky = (): Partial<Host> => {
    const { createDevice } = harness.host();
    return {
      ...headDevices(),
      async createDevice(...args) {
        if (!makes) throw new Error('the worker could not be loaded');
        return createDevice(...args);
      },
    };
  };
  /** None can be made for some time, and then they can. */
  const expectSegmentsAgain = async (client: Client) => {
    await harness.pass(10_000);
    makes = true;
    await harness.pass(120_000);
    // No device has died.
    expect(client.state).toMatchObject({ device: 'available', downloadError: null });
    await expect(client.infer(PICTURE, { label: 'secret' })).resolves.toMatchObject({ route: { k: 2 } });
  };

  test('do not cost another plan its segments', async () => {
    const client = await harness.connect({}, flaky());
    await harness.pass(1);
    expect(client.state.device).toBe('available');
    makes = false;
    harness.changePlan();
    await harness.cut();
    await expectSegmentsAgain(client);
  });

  test('do not cost the rest of the plan its segments', async () => {
    harness.head = structuredClone(harness.plan);
    makes = false;
    const client = await harness.connect({}, flaky());
    await harness.pass(1);
    await expectSegmentsAgain(client);
  });
});

describe('a gateway with another plan', () => {
  test('is given a device of its own, once, and the one before is let go', async () => {
    const closed: number[] = [];
    harness.onDevice = (device) => {
      const number = harness.devices;
      return {
        ...device,
        async close() {
          closed.push(number);
          await device.close();
        },
      };
    };
    const client = await harness.ready();
    harness.changePlan();
    harness.planFails = true;
    // Every connection says that it is time.
    for (let i = 0; i < 3; i++) {
      await harness.cut();
      await harness.pass(1000);
    }
    harness.planFails = false;
    await harness.pass(30_000);
    expect(client.plan.id).toBe(harness.plan.id);
    expect([harness.devices, closed]).toEqual([2, [1]]);
  });

  test('is followed, and plans are never mixed', async () => {
    const client = await harness.ready();
    const oldId = client.plan.id;
    harness.changePlan();
    await harness.cut();
    await harness.pass(1000);
    expect(client.plan.id).not.toBe(oldId);
    const result = client.infer(PICTURE, { label: 'public', force: { k: 0 } });
    await harness.serve();
    await result;
    expect(harness.messagesOf('infer').at(-1)?.plan).toBe(client.plan.id);
  });

  test('runs what could not go on with the old one', async () => {
    harness.allowSegments(0);
    const client = await harness.ready();
    const result = client.infer(PICTURE, { label: 'public' });
    await harness.pass(1);
    harness.changePlan();
    await harness.cut();
    await harness.pass(1000);
    harness.gateway.executor.fail(new TandemError('CANCELLED', 'its client is gone'));
    await harness.serve();
    const { route } = await result;
    expect(route).toMatchObject({ k: 0, fallback: { reason: 'failed' } });
    expect(harness.messagesOf('infer').map(({ plan }) => plan)).toEqual([expect.any(String), client.plan.id]);
    expect(route.sent).toHaveLength(2);
  });

  test('is asked for its plan until it gives it', async () => {
    const client = await harness.ready();
    const oldId = client.plan.id;
    harness.changePlan();
    harness.planFails = true;
    await harness.cut();
    await harness.pass(10_000);
    expect(client.plan.id).toBe(oldId);
    harness.planFails = false;
    await harness.pass(30_000);
    expect(client.plan.id).not.toBe(oldId);
  });

  test('of which the files are still another’s is asked again in time, not at once', async () => {
    await harness.ready();
    // The socket leads to a new instance, plan.json to an old one.
    harness.gateway.plan.id = 'd'.repeat(64);
    const before = harness.fetches.length;
    await harness.cut();
    await harness.pass(10_000);
    expect(harness.fetches.length - before).toBeLessThan(8);
    expect(harness.devices).toBe(1);
  });

  test('that no longer serves the model at all leaves the device to itself', async () => {
    harness.allowSegments(1);
    const client = await harness.ready({ download: false });
    harness.gateway.plan.name = 'other';
    harness.gateway.plan.id = 'd'.repeat(64);
    await harness.cut();
    await harness.pass(1000);
    await expect(client.infer(PICTURE, { label: 'public' })).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  });
});

test('connecting can be aborted while the device is being made', async () => {
  const controller = new AbortController();
  harness.onDevice = (device) => ({ ...device, prepare: () => new Promise<never>(() => {}) });
  const connecting = harness.connect({ signal: controller.signal });
  connecting.catch(() => {});
  await harness.pass(1);
  controller.abort(new Error('never mind'));
  await expect(connecting).rejects.toThrow('never mind');
});

test('connecting that is aborted after the plan came leaves no device behind', async () => {
  const controller = new AbortController();
  const closed: string[] = [];
  harness.onDevice = (device) => ({
    ...device,
    prepare: async () => {
      controller.abort(new Error('never mind'));
      return device.prepare();
    },
    close: async () => {
      closed.push('device');
      await device.close();
    },
  });
  await expect(harness.connect({ signal: controller.signal })).rejects.toThrow('never mind');
  expect(closed).toEqual(['device']);
});
