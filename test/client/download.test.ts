/** Segments come in the background, one after another. */
import { beforeEach, describe, expect, test } from 'vitest';
import { fetchBytes } from '../../client/fetch-bytes.ts';
import type { Host } from '../../client/host.ts';
import { TandemError } from '../../shared/errors.ts';
import { ClientHarness, PICTURE } from '../helpers/client-harness.ts';

let harness: ClientHarness;
beforeEach(() => {
  harness = new ClientHarness();
});

describe('the download', () => {
  test('brings segments in chain order and says how far it is', async () => {
    harness.allowSegments(1);
    const client = await harness.ready();
    expect(client.state).toMatchObject({ segmentsReady: 1, segments: 2, bytesLoaded: 4, bytesTotal: 8 });
    harness.allowSegments(2);
    await harness.pass(1);
    expect(client.state).toMatchObject({ segmentsReady: 2, bytesLoaded: 8, downloadError: null });
  });

  test('tries again when a segment is not the one that the plan names, and in the end says so', async () => {
    harness.corrupt = true;
    const client = await harness.ready();
    await harness.pass(100_000);
    expect(client.state).toMatchObject({ segmentsReady: 0, downloadError: expect.stringContaining('SHA-256') });
    const result = client.infer(PICTURE, { label: 'public' });
    await harness.serve();
    expect((await result).route.k).toBe(0);
  });

  test('says at once what is wrong, once, and goes on trying', async () => {
    const warned: string[] = [];
    harness.corrupt = true;
    const client = await harness.connect({}, { warn: (message) => warned.push(message) });
    await harness.pass(5000);
    expect(client.state).toMatchObject({ device: 'downloading', downloadError: expect.stringContaining('SHA-256') });
    harness.corrupt = false;
    await harness.pass(20_000);
    expect(client.state).toMatchObject({ device: 'available', downloadError: null });
    expect(warned).toEqual([expect.stringContaining('1.onnx is not the file of the plan')]);
  });

  test('says so where the plan has no segments for this device, which the gateway serves all the same', async () => {
    Object.assign(harness.plan.segments[1] ?? {}, { targets: {} });
    const client = await harness.ready();
    expect(client.state).toMatchObject({
      device: 'unavailable',
      downloadError: 'the plan has no segments for the target wasm',
    });
    const result = client.infer(PICTURE, { label: 'public' });
    await harness.serve();
    expect((await result).route.k).toBe(0);
  });

  test('goes on after a segment was missing for a while, as when a gateway is being replaced', async () => {
    harness.missingFiles = 1;
    const client = await harness.ready();
    await harness.pass(5000);
    expect(client.state).toMatchObject({ segmentsReady: 2, downloadError: null });
  });

  test('goes on after minutes in which the instance that serves files has another plan than the one that answers', async () => {
    harness.missingFiles = 8;
    const client = await harness.ready();
    await harness.pass(60_000);
    expect(client.state).toMatchObject({ device: 'unavailable', segmentsReady: 0 });
    await harness.pass(60_000);
    expect(client.state).toMatchObject({ device: 'available', segmentsReady: 2, downloadError: null });
  });

  test('asks for files that are missing no more often after connections were lost', async () => {
    harness.missingFiles = Number.POSITIVE_INFINITY;
    await harness.ready();
    const askedInAnHour = async () => {
      harness.fetches.length = 0;
      await harness.pass(3_600_000);
      return harness.fetches.length;
    };
    const before = await askedInAnHour();
    for (let i = 0; i < 5; i++) {
      await harness.cut();
      await harness.pass(45_000);
    }
    expect(await askedInAnHour()).toBeLessThan(1.1 * before);
  });

  test('says of files that stay missing what is wrong once, however often it asks for them', async () => {
    const warned: string[] = [];
    harness.missingFiles = Number.POSITIVE_INFINITY;
    const client = await harness.connect({}, { warn: (message) => warned.push(message) });
    await harness.pass(3_600_000);
    expect(client.state.downloadError).toContain('404');
    expect(warned).toEqual([expect.stringContaining('404')]);
  });

  test('begins again with the next connection, as when a network has let pages of its own lie in the place of files', async () => {
    harness.corrupt = true;
    const client = await harness.ready();
    await harness.pass(100_000);
    expect(client.state.downloadError).toContain('SHA-256');
    harness.corrupt = false;
    await harness.pass(100_000);
    expect(client.state).toMatchObject({ device: 'unavailable', segmentsReady: 0 });
    await harness.cut();
    await harness.pass(5000);
    expect(client.state).toMatchObject({ link: 'open', device: 'available', segmentsReady: 2, downloadError: null });
  });

  test('is not all that changes what runs a segment: listeners hear of what takes its place', async () => {
    const replaced = { provider: 'wasm', demoted: ['webgpu, from segment 1 on: the adapter is lost'] };
    let isLost = false;
    harness.onDevice = (device) => ({
      ...device,
      advance: async (crossing) => ({ ...(await device.advance(crossing)), ...(isLost ? { replaced } : {}) }),
    });
    const client = await harness.ready();
    const heard: (readonly string[])[] = [];
    client.addEventListener('statechange', ({ detail }) => heard.push(detail.demoted));
    isLost = true;
    const { route } = await client.infer(PICTURE, { label: 'secret' });
    expect([route.provider, heard.at(-1)]).toEqual(['wasm', replaced.demoted]);
  });

  test('does not begin again with the next connection where it was the device that failed', async () => {
    harness.onDevice = (device) => ({
      ...device,
      load: async () => Promise.reject(new TandemError('BAD_MODEL', 'out of memory')),
    });
    const client = await harness.ready();
    const { length } = harness.fetches;
    await harness.cut();
    await harness.pass(10_000);
    expect([client.state.link, client.state.downloadError]).toEqual(['open', 'out of memory']);
    expect(harness.fetches).toHaveLength(length);
  });

  test('that comes in one piece has a limit in bytes, and time by its size', async () => {
    const whole = (bytes: number, ms: number) => ({
      clock: harness.clock,
      fetch: async (_: string, { signal }: RequestInit) => ({
        ...{ ok: true, status: 200, body: undefined },
        arrayBuffer: () =>
          new Promise<ArrayBuffer>((resolve, reject) => {
            signal?.addEventListener('abort', () => reject(signal.reason));
            harness.clock.after(ms, () => resolve(new ArrayBuffer(bytes)));
          }),
      }),
    });
    const fetched = async (bytes: number, ms: number, bytesMax: number) => {
      const bytesOrCode = fetchBytes(whole(bytes, ms) as unknown as Host, 'http://gateway/1.onnx', { bytesMax }).then(
        ({ length }) => length,
        ({ code }: TandemError) => code,
      );
      await harness.pass(1_000_000);
      return bytesOrCode;
    };
    expect(await fetched(5_000_000, 40_000, 5_000_000)).toBe(5_000_000);
    expect(await fetched(5_000_000, 900_000, 5_000_000)).toBe('UNAVAILABLE');
    expect(await fetched(1001, 1, 1000)).toBe('BAD_DOWNLOAD');
  });

  test('that is whole is held once', async () => {
    const fetch = async () => new Response(new Uint8Array([1, 2, 3]));
    const host = { clock: harness.clock, fetch } as unknown as Host;
    const received = { length: 0 };
    const bytes = await fetchBytes(host, 'http://gateway/1.onnx', { bytesMax: 3, received });
    expect([[...bytes], bytes.buffer.byteLength, received]).toEqual([[1, 2, 3], 3, { length: 0 }]);
  });

  test('that has ended is named where a request needed it', async () => {
    harness.missingFiles = 100;
    const client = await harness.ready();
    await harness.pass(100_000);
    await expect(client.infer(PICTURE, { label: 'secret' })).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      message: expect.stringContaining('404'),
    });
  });

  test('yields to a request that waits for the gateway, but not for ever', async () => {
    harness.allowSegments(1);
    const client = await harness.ready();
    const result = client.infer(PICTURE, { label: 'public', force: { k: 0 } });
    await harness.pass(1);
    harness.allowSegments(2);
    await harness.pass(100);
    expect(client.state.segmentsReady).toBe(1);
    await harness.pass(1000);
    expect(client.state.segmentsReady).toBe(2);
    await harness.finish();
    await result;
  });

  test('goes on at once when nobody waits for the gateway any more', async () => {
    harness.allowSegments(1);
    const client = await harness.ready();
    const result = client.infer(PICTURE, { label: 'public', force: { k: 0 } });
    await harness.pass(1);
    harness.allowSegments(2);
    await harness.pass(100);
    await harness.finish();
    await result;
    expect(client.state.segmentsReady).toBe(2);
  });

  test('goes on after a dead zone, however long that was', async () => {
    harness.allowSegments(1);
    const client = await harness.ready();
    harness.isReachable = false;
    await harness.cut();
    harness.allowSegments(2);
    await harness.pass(600_000);
    harness.isReachable = true;
    await harness.pass(31_000);
    expect(client.state).toMatchObject({ segmentsReady: 2, downloadError: null });
  });
});
