/** What a device keeps between visits. */
import { createHash } from 'node:crypto';
import { beforeEach, describe, expect, test } from 'vitest';
import { availabilityOf } from '../../client/availability.ts';
import { pause } from '../../client/pause.ts';
import { planHead } from '../../shared/plan.ts';
import { answerOf, ClientHarness, DEVICE_ANSWER, PICTURE } from '../helpers/client-harness.ts';

let harness: ClientHarness;
beforeEach(() => {
  harness = new ClientHarness();
});

const segmentFetches = () =>
  harness.fetches.filter((url) => url.startsWith('http://gateway') && !url.endsWith('.json'));
const availability = () => availabilityOf(harness.host(), 'http://gateway', 'small');

describe('what is kept', () => {
  test('is not fetched again on the next visit', async () => {
    await (await harness.ready()).close();
    expect(segmentFetches()).toHaveLength(2);
    const client = await harness.ready();
    expect(client.state).toMatchObject({ device: 'available', bytesLoaded: 8, bytesTotal: 8 });
    expect(segmentFetches()).toHaveLength(2);
  });

  test('is all that a visit without a network needs', async () => {
    await (await harness.ready()).close();
    harness.isReachable = false;
    const client = await harness.ready();
    const { outputs, route } = await client.infer(PICTURE, { label: 'public' });
    expect(answerOf(outputs)).toEqual(DEVICE_ANSWER);
    expect(route).toMatchObject({ k: 2, tier: null, provider: 'fake' });
  });

  test('takes the place of a plan that the network does not bring in time', async () => {
    await (await harness.ready()).close();
    harness.planHangs = true;
    const connecting = harness.connect();
    await harness.pass(3000);
    expect((await connecting).plan.id).toBe(harness.plan.id);
  });

  test('is a plan that is pinned, and no other, whatever the gateway serves and however late', async () => {
    const served = JSON.stringify(harness.plan);
    const planSha256 = createHash('sha256').update(served).digest('hex');
    // Of the same id: what was measured is not part of it.
    const lie = JSON.stringify({ ...harness.plan, measured: null });
    const got = createHash('sha256').update(lie).digest('hex');
    harness.planText = lie;
    harness.head = harness.plan;
    const pinned = { planSha256: planSha256.toUpperCase() };
    await expect(harness.connect(pinned)).rejects.toMatchObject({
      code: 'BAD_PLAN',
      message: `http://gateway/models/small/plan.json: expected a plan of SHA-256 ${planSha256}, got ${got}`,
    });
    await expect(harness.connect({ planSha256: '' })).rejects.toMatchObject({ code: 'BAD_PLAN' });
    // Nothing is sent on a head that cannot be checked.
    expect(harness.fetches.filter((url) => url.includes('head'))).toEqual([]);
    // Who pins nothing keeps it, for others of this origin too.
    harness.head = null;
    await (await harness.ready()).close();
    expect([...harness.kept.keys()]).toContain('plan:http://gateway/models/small');
    await expect(harness.connect(pinned)).rejects.toMatchObject({ code: 'BAD_PLAN' });
    harness.planText = null;
    let serve = () => {};
    const slow: typeof fetch = async (...args) => {
      await new Promise<void>((resolve) => {
        serve = resolve;
      });
      return harness.host().fetch(...args);
    };
    const connecting = harness.connect({ ...pinned, download: false }, { fetch: slow });
    await harness.pass(5000);
    serve();
    const client = await connecting;
    expect(client.plan.measured).not.toBeNull();
    await client.close();
    // And what was once right serves where the gateway has another.
    harness.planText = lie;
    const again = await harness.connect(pinned);
    expect(again.plan.measured).not.toBeNull();
  });

  test('is dropped and fetched anew where it is broken', async () => {
    await (await harness.ready()).close();
    const sha256 = harness.plan.segments[0]?.targets['wasm']?.sha256 ?? '';
    harness.kept.set(sha256, Uint8Array.of(1, 7, 7));
    const client = await harness.ready();
    expect(client.state.segmentsReady).toBe(2);
    expect(segmentFetches()).toHaveLength(3);
    expect(harness.kept.get(sha256)).toEqual(Uint8Array.of(1, 7, 7, 7));
  });

  test('is let go when no plan names it any more', async () => {
    harness.kept.set('f'.repeat(64).replace('f', '0'), Uint8Array.of(9));
    await (await harness.ready()).close();
    expect([...harness.kept.keys()].sort()).toEqual(
      [
        ...harness.plan.segments.map(({ targets }) => targets['wasm']?.sha256 ?? ''),
        'plan:http://gateway/models/small',
      ].sort(),
    );
  });

  test('stays where a plan cannot be read just now, which may name it', async () => {
    await (await harness.ready()).close();
    const { get } = harness.files;
    harness.files.get = async (name) => (name.startsWith('plan:') ? undefined : get(name));
    const before = [...harness.kept.keys()].sort();
    await harness.ready();
    expect([...harness.kept.keys()].sort()).toEqual(before);
    expect(segmentFetches()).toHaveLength(2);
  });

  test('is a plan that is written where it is another, and not while the old one is read', async () => {
    const { get, put } = harness.files;
    let reads = 0;
    const written: number[] = [];
    harness.files.get = async (name) => {
      if (!name.startsWith('plan:')) return get(name);
      reads++;
      await pause(harness.clock, 50, new AbortController().signal);
      reads--;
      return get(name);
    };
    harness.files.put = async (name, bytes) => {
      if (name.startsWith('plan:')) written.push(reads);
      return put(name, bytes);
    };
    const visit = async () => {
      const connecting = harness.connect();
      await harness.pass(1000);
      await (await connecting).close();
    };
    await visit();
    expect(written).toEqual([0]);
    await visit();
    expect(written).toEqual([0]);
    harness.planText = `${JSON.stringify(harness.plan)} `;
    await visit();
    expect(written).toEqual([0, 0]);
  });

  test('is not replaced by what is no plan', async () => {
    await (await harness.ready()).close();
    harness.planText = '<html>log in to the hotel</html>';
    const client = await harness.ready();
    expect(client.state.segmentsReady).toBe(2);
    await client.close();
    harness.isReachable = false;
    const offline = await harness.ready();
    expect(offline.state.segmentsReady).toBe(2);
  });

  test('does not hide that there is no network where it is a plan that is broken', async () => {
    await (await harness.ready()).close();
    for (const name of harness.kept.keys()) {
      if (name.startsWith('plan:')) harness.kept.set(name, new TextEncoder().encode('{"version": 1, "na'));
    }
    harness.isReachable = false;
    const failed = harness.connect();
    failed.catch(() => {});
    await harness.pass(10_000);
    await expect(failed).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  });

  test('may take longer to be read than the network takes to fail', async () => {
    await (await harness.ready()).close();
    const get = harness.files.get;
    harness.files.get = async (name) => {
      await pause(harness.clock, 100, new AbortController().signal);
      return get(name);
    };
    harness.isReachable = false;
    const loose: unknown[] = [];
    const onLoose = (reason: unknown) => loose.push(reason);
    process.on('unhandledRejection', onLoose);
    const connecting = harness.connect();
    await harness.pass(1000);
    expect((await connecting).state.segmentsReady).toBe(2);
    process.off('unhandledRejection', onLoose);
    expect(loose).toEqual([]);
  });

  test('may be nothing: the client works from memory', async () => {
    harness.files.put = async () => {};
    const client = await harness.ready();
    expect(client.state.segmentsReady).toBe(2);
    expect(harness.kept.size).toBe(0);
  });
});

describe('a download that breaks', () => {
  test('goes on where it was, and is counted to the byte, never backwards', async () => {
    harness.breaksAfter = 3;
    const seen: number[] = [];
    const client = await harness.connect({
      monitor: (events) => events.addEventListener('progress', ({ detail }) => seen.push(detail.loaded)),
    });
    await harness.pass(5000);
    expect(client.state).toMatchObject({ segmentsReady: 2, bytesLoaded: 8 });
    expect(harness.ranges).toEqual(['bytes=0-3', 'bytes=3-3', 'bytes=0-3']);
    expect(seen).toEqual([...seen].sort((a, b) => a - b));
    expect(seen.at(-1)).toBe(8);
  });

  test('is tried again as soon as the first time where it has got on meanwhile', async () => {
    const { fetch } = harness.host();
    let breaks = 3;
    const breaking: typeof fetch = (url, init) => {
      if (new Headers(init?.headers).has('Range') && breaks-- > 0) harness.breaksAfter = 1;
      return fetch(url, init);
    };
    const client = await harness.connect({}, { fetch: breaking });
    await harness.pass(3500);
    expect(client.state).toMatchObject({ segmentsReady: 2 });
    expect(harness.ranges).toEqual(['bytes=0-3', 'bytes=1-3', 'bytes=2-3', 'bytes=3-3', 'bytes=0-3']);
  });

  test('keeps what has come where the gateway is away for a while and a proxy says so in its place', async () => {
    harness.breaksAfter = 3;
    const { fetch } = harness.host();
    let refusals = 2;
    const behindProxy: typeof fetch = (url, init) => {
      const isResumed = new Headers(init?.headers).get('Range') === 'bytes=3-3';
      return isResumed && refusals-- > 0 ? Promise.resolve(new Response('', { status: 503 })) : fetch(url, init);
    };
    const client = await harness.connect({}, { fetch: behindProxy });
    await harness.pass(20_000);
    expect(client.state).toMatchObject({ segmentsReady: 2 });
    expect(harness.ranges).toEqual(['bytes=0-3', 'bytes=3-3', 'bytes=0-3']);
  });
});

test('progress of one plan never falls, also where a device dies and all is loaded anew', async () => {
  const seen: number[] = [];
  const client = await harness.connect({
    monitor: (events) => events.addEventListener('progress', ({ detail }) => seen.push(detail.loaded)),
  });
  harness.allowSegments(2);
  await harness.pass(1);
  await harness.loseDevice();
  await harness.pass(60_000);
  expect(client.state).toMatchObject({ device: 'available', bytesLoaded: 8 });
  expect(seen).toEqual([...seen].sort((a, b) => a - b));
  harness.changePlan();
  await harness.cut();
  await harness.pass(60_000);
  expect(client.state.device).toBe('available');
  expect(seen.filter((loaded) => loaded === 8)).toHaveLength(2);
});

test('a download that is begun again loads what is missing alone, and is not counted back', async () => {
  const seen: number[] = [];
  const loaded: number[] = [];
  harness.onDevice = (device) => ({
    ...device,
    load: (k, model) => {
      loaded.push(k);
      return device.load(k, model);
    },
  });
  harness.missingSecond = true;
  const client = await harness.connect({
    monitor: (events) => events.addEventListener('progress', ({ detail }) => seen.push(detail.loaded)),
  });
  await harness.pass(100_000);
  expect(client.state).toMatchObject({ device: 'unavailable', segmentsReady: 1, bytesLoaded: 4 });
  harness.missingSecond = false;
  const preparing = client.prepare();
  await harness.pass(1000);
  await preparing;
  expect(loaded).toEqual([0, 1]);
  expect(seen).toEqual([...seen].sort((a, b) => a - b));
  expect(seen.at(-1)).toBe(8);
});

describe('the runtime', () => {
  const hashOf = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');
  const wasm = Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0);
  const runtimeFile = {
    ...{ url: 'http://app/engine.wasm', bytes: 8, of: 'engine 1.0' },
    ...{ sha256: hashOf(wasm), release: [hashOf(wasm), 'b'.repeat(64)] },
  };
  beforeEach(() => {
    harness.runtimeFile = runtimeFile;
    harness.runtimeBytes = wasm;
  });

  test('is fetched first, checked, counted with the model and kept', async () => {
    const client = await harness.ready();
    expect(client.state).toMatchObject({ segmentsReady: 2, bytesLoaded: 16, bytesTotal: 16 });
    expect(harness.provided).toEqual([wasm]);
    await client.close();
    await harness.ready();
    expect(harness.fetches.filter((url) => url === runtimeFile.url)).toHaveLength(1);
  });

  test('that is kept and broken is fetched anew', async () => {
    harness.kept.set(hashOf(wasm), Uint8Array.of(1, 2, 3));
    const client = await harness.ready();
    expect(client.state).toMatchObject({ segmentsReady: 2, bytesLoaded: 16 });
    expect(harness.provided.at(-1)).toEqual(wasm);
    expect(harness.kept.get(hashOf(wasm))).toEqual(wasm);
  });

  test('that is not the right one is not kept', async () => {
    harness.runtimeBytes = Uint8Array.of(0, 0x61, 0x73, 0x6d, 2, 0, 0, 0);
    await harness.ready();
    await harness.pass(100_000);
    expect(harness.provided.length).toBeGreaterThan(0);
    expect(harness.kept.has(hashOf(wasm))).toBe(false);
  });

  test('that breaks off early begins anew, since its rest does not come encoded, and goes on where it was the next time', async () => {
    const { fetch } = harness.host();
    const ranges: (string | null)[] = [];
    const breaking: typeof fetch = async (url, init) => {
      if (url !== runtimeFile.url) return fetch(url, init);
      const range = new Headers(init?.headers).get('Range');
      ranges.push(range);
      if (range) return new Response(wasm.slice(3), { status: 206 });
      let pulls = 0;
      const body = new ReadableStream({
        pull(controller) {
          if (pulls++ === 0) controller.enqueue(wasm.slice(0, 3));
          else controller.error(new TypeError('network error'));
        },
      });
      return new Response(body);
    };
    const client = await harness.connect({}, { fetch: breaking });
    await harness.pass(5000);
    expect(client.state).toMatchObject({ segmentsReady: 2, bytesLoaded: 16 });
    expect(ranges).toEqual([null, null, 'bytes=3-']);
    expect(harness.provided).toEqual([wasm]);
  });

  test('that is kept and broken is dropped at once, without a network too', async () => {
    await (await harness.ready()).close();
    harness.kept.set(hashOf(wasm), Uint8Array.of(1, 2, 3));
    harness.isReachable = false;
    await harness.connect();
    await harness.pass(1000);
    expect(harness.kept.has(hashOf(wasm))).toBe(false);
  });

  test('of another page of this origin is left alone, and one of an older version is not', async () => {
    harness.kept.set('b'.repeat(64), wasm);
    harness.kept.set('c'.repeat(64), wasm);
    await (await harness.ready()).close();
    expect(harness.kept.has('b'.repeat(64))).toBe(true);
    expect(harness.kept.has('c'.repeat(64))).toBe(false);
  });

  test.each([
    ['a page', new TextEncoder().encode('<html>'), /is a page or another file, not WebAssembly/],
    ['another version', Uint8Array.of(0, 0x61, 0x73, 0x6d, 2, 0, 0, 0), /is of another version/],
    ['a larger version', Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, 0), /is larger than the 8 bytes expected/],
  ])('that is %s is named with its address and what to do', async (_, bytes, message) => {
    harness.runtimeBytes = bytes;
    const client = await harness.ready();
    await harness.pass(100_000);
    expect(client.state.segmentsReady).toBe(0);
    expect(client.state.downloadError).toMatch(message);
    expect(client.state.downloadError).toContain(runtimeFile.url);
    expect(client.state.downloadError).toContain('npx tandem copy-assets');
  });
});

describe('availability', () => {
  test('says what is wrong with an address that is none', async () => {
    const said = await availabilityOf(harness.host(), 'gateway.example', 'small');
    expect(said).toMatchObject({ status: 'unavailable', reasons: [expect.stringContaining('gateway.example')] });
  });

  test('is told before anything is fetched but the plan', async () => {
    expect(await availability()).toMatchObject({ status: 'downloadable', bytesTotal: 8, bytesKept: 0 });
    expect(segmentFetches()).toHaveLength(0);
    await (await harness.ready()).close();
    expect(await availability()).toEqual({ status: 'available', bytesTotal: 8, bytesKept: 8, reasons: [] });
  });

  test('says why there is none', async () => {
    harness.isReachable = false;
    expect(await availability()).toMatchObject({
      status: 'unavailable',
      reasons: [expect.stringContaining('http://gateway')],
    });
  });
});

describe('saving data', () => {
  test('means that nothing is downloaded before the app asks, and requests go to the gateway', async () => {
    harness.saveData = true;
    const client = await harness.ready();
    await harness.pass(10_000);
    expect(client.state).toMatchObject({ device: 'downloadable', bytesLoaded: 0 });
    const result = client.infer(PICTURE, { label: 'public' });
    await harness.serve();
    expect((await result).route.k).toBe(0);
    const prepared = client.prepare();
    await harness.pass(1);
    await prepared;
    expect(client.state.device).toBe('available');
  });

  test('prepare rejects where a file is not to be had, with the signal, and when the client is closed', async () => {
    harness.saveData = true;
    harness.missingFiles = 100;
    const client = await harness.ready();
    const failed = client.prepare();
    failed.catch(() => {});
    await harness.pass(100_000);
    await expect(failed).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    const controller = new AbortController();
    const aborted = client.prepare({ signal: controller.signal });
    controller.abort(new Error('enough'));
    await expect(aborted).rejects.toThrow('enough');
    const closed = client.prepare();
    await client.close();
    await expect(closed).rejects.toMatchObject({ code: 'CLOSED' });
  });

  test('prepare ends with its signal also while nothing comes', async () => {
    harness.saveData = true;
    harness.segmentsAllowed = 0;
    const client = await harness.ready();
    const controller = new AbortController();
    const aborted = client.prepare({ signal: controller.signal });
    aborted.catch(() => {});
    await harness.pass(1000);
    controller.abort(new Error('enough'));
    await expect(aborted).rejects.toThrow('enough');
  });

  test('ends for good once the app asks: the plan that comes next is downloaded too', async () => {
    harness.saveData = true;
    const client = await harness.ready();
    const prepared = client.prepare();
    await harness.pass(1);
    await prepared;
    harness.changePlan();
    await harness.cut();
    await harness.pass(10_000);
    expect(client.plan.id).toBe(harness.plan.id);
    expect(client.state.device).toBe('available');
  });
});

describe('a plan of which the head comes first', () => {
  const bigTier = () => {
    const tiers = harness.plan.boundaries[1]?.tiers ?? [];
    harness.head = { ...harness.plan, boundaries: harness.plan.boundaries.map((boundary) => ({ ...boundary })) };
    Object.assign(harness.head.boundaries[1] ?? {}, { tiers: tiers.slice(1) });
    return tiers[0]?.name ?? '';
  };

  test('answers on that, and has all that the plan has once it is here', async () => {
    const big = bigTier();
    const client = await harness.ready();
    const names = () => client.plan.boundaries[1]?.tiers.map(({ name }) => name);
    expect(names()).not.toContain(big);
    expect(harness.fetches.some((url) => url.endsWith('plan.json'))).toBe(false);
    const first = client.infer(PICTURE, { label: 'public' });
    await harness.serve();
    expect((await first).route.k).toBe(0);
    const personal = client.infer(PICTURE, { label: 'secret' });
    await harness.pass(2000);
    // A request that had to wait for segments has begun anew on the whole plan.
    expect(answerOf((await personal).outputs)).toEqual(DEVICE_ANSWER);
    expect(names()).toContain(big);
    expect(client.state.device).toBe('available');
    expect(harness.devices).toBe(2);
  });

  test('stays all that is fetched where no segments are wanted, until they are', async () => {
    bigTier();
    const client = await harness.ready({ download: false });
    await harness.pass(60_000);
    const result = client.infer(PICTURE, { label: 'public' });
    await harness.serve();
    expect((await result).route.k).toBe(0);
    expect(harness.fetches.some((url) => url.endsWith('/plan.json'))).toBe(false);
    const prepared = client.prepare();
    await harness.pass(2000);
    await prepared;
    expect(client.state.device).toBe('available');
  });

  test('is not asked for in parts where it is kept', async () => {
    bigTier();
    const client = await harness.ready();
    await harness.pass(2000);
    await client.close();
    const before = harness.fetches.length;
    await (await harness.ready()).close();
    expect(harness.fetches.slice(before).filter((url) => url.endsWith('plan-head.json'))).toEqual([]);
  });

  test('comes whole also to a device that died on the head', async () => {
    bigTier();
    harness.planFails = true;
    const client = await harness.ready();
    await harness.loseDevice();
    await harness.pass(5000);
    expect(client.state.device).toBe('downloading');
    harness.planFails = false;
    await harness.pass(60_000);
    expect(client.state.device).toBe('available');
  });

  test('takes a forced tier that only the whole plan has', async () => {
    const tier = bigTier();
    const client = await harness.ready();
    const result = client.infer(PICTURE, { label: 'public', force: { k: 1, tier } });
    result.catch(() => {});
    await harness.pass(450);
    await harness.finish();
    expect((await result).route).toMatchObject({ k: 1, tier });
    await expect(client.infer(PICTURE, { force: { k: 1, tier: 'none' } })).rejects.toMatchObject({
      code: 'UNKNOWN_TIER',
    });
  });

  test('takes a forced cut of which it has no tier yet', async () => {
    harness.head = planHead(harness.plan);
    const client = await harness.ready();
    const result = client.infer(PICTURE, { label: 'public', force: { k: 1 } });
    result.catch(() => {});
    await harness.pass(450);
    await harness.finish();
    expect((await result).route).toMatchObject({ k: 1, fallback: null });
  });

  test('goes on with its head where the rest does not come yet', async () => {
    bigTier();
    harness.planFails = true;
    const client = await harness.ready();
    await harness.pass(5000);
    const result = client.infer(PICTURE, { label: 'public' });
    await harness.serve();
    expect((await result).route.k).toBe(0);
    harness.planFails = false;
    await harness.pass(30_000);
    expect(client.state.device).toBe('available');
  });
});

const CHARSET = Uint8Array.of(1, 2, 3);
const CHARSET_FILE = {
  file: 'charset.txt',
  sha256: createHash('sha256').update(CHARSET).digest('hex'),
  bytes: CHARSET.byteLength,
};

test('assets that the gateway lacks keep no segments away', async () => {
  const harness = new ClientHarness();
  Object.assign(harness.plan, { assets: { charset: CHARSET_FILE } });
  const client = await harness.connect();
  await harness.pass(60_000);
  expect(client.state).toMatchObject({ device: 'available', segmentsReady: 2 });
  expect((await client.infer(PICTURE, { label: 'secret' })).route.k).toBe(2);
});
