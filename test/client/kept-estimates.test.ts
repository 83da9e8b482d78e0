/** What was learnt outlives the page, and what happens around a page makes it doubtful. */
import { beforeEach, describe, expect, test } from 'vitest';
import type { Host } from '../../client/host.ts';
import { pause } from '../../client/pause.ts';
import type { Client } from '../../client/types.ts';
import { readKept } from '../../shared/schedule/kept.ts';
import { ClientHarness, PICTURE } from '../helpers/client-harness.ts';

const NAME = 'estimates:http://gateway/models/small';
/** The hash of a file that no plan names. */
const STRAY = '09'.repeat(32);
const DAY_MS = 24 * 3600 * 1000;

let harness: ClientHarness;
let wallMs: number;
/** Pages are opened with it: calendars and what else a host may tell. */
let host: Partial<Host>;
beforeEach(() => {
  harness = new ClientHarness();
  wallMs = 1_800_000_000_000;
  host = { wallClock: () => wallMs };
});

async function visit(): Promise<Client> {
  const client = await harness.connect({}, host);
  await harness.pass(1);
  return client;
}

/** A request whose answer takes so long. */
async function ask(client: Client, ms = 20): Promise<void> {
  const result = client.infer(PICTURE, { label: 'public', force: { k: 0 } });
  await harness.pass(ms);
  await harness.finish();
  await result;
}

const roundTripMs = (client: Client) => client.diagnostics().estimates.roundTripMs;
const kept = () => {
  const bytes = harness.kept.get(NAME);
  return bytes ? readKept(new TextDecoder().decode(bytes), wallMs) : null;
};

describe('what was learnt', () => {
  test('is there at the next visit, before anything is asked', async () => {
    const first = await visit();
    for (let i = 0; i < 8; i++) await ask(first);
    const learnt = first.diagnostics().estimates;
    expect(learnt.server).not.toBeCloseTo(1, 1);
    await first.close();
    wallMs += DAY_MS;
    harness.isReachable = false;
    const second = await visit();
    expect(second.diagnostics().estimates).toEqual({ ...learnt, queueMs: 0 });
  });

  test('is less sure the older it is', async () => {
    const first = await visit();
    for (let i = 0; i < 8; i++) await ask(first);
    await first.close();
    const bytes = harness.kept.get(NAME) ?? new Uint8Array();
    const widthAfter = async (ageMs: number) => {
      harness.kept.set(NAME, bytes);
      wallMs += ageMs;
      const client = await visit();
      const { chosen } = await client.explain(PICTURE, { label: 'public', force: { k: 0 } });
      await client.close();
      wallMs -= ageMs;
      return (chosen?.predicted.highMs ?? 0) / (chosen?.predicted.lowMs ?? 0);
    };
    expect(await widthAfter(DAY_MS)).toBeGreaterThan((await widthAfter(0)) * 1.2);
  });

  test('is written soon after a request, and at most every five seconds', async () => {
    let puts = 0;
    const put = harness.files.put;
    harness.files.put = async (name, bytes) => {
      if (name === NAME) puts++;
      await put(name, bytes);
    };
    const client = await visit();
    for (let i = 0; i < 3; i++) await ask(client);
    expect(puts).toBe(0);
    await harness.pass(600);
    expect(puts).toBe(1);
    for (let i = 0; i < 5; i++) await ask(client, 300);
    expect(puts).toBe(1);
    await harness.pass(5_000);
    expect(puts).toBe(2);
    await harness.pass(60_000);
    expect(puts).toBe(2);
    expect(kept()).not.toBeNull();
  });

  test('is written at once when the page is left, and only where there is something new', async () => {
    let leave = () => {};
    host.onLeave = (listener) => {
      leave = listener;
      return () => {};
    };
    const client = await visit();
    leave();
    expect(kept()).not.toBeNull();
    harness.kept.delete(NAME);
    leave();
    expect(kept()).toBeNull();
    await ask(client);
    leave();
    expect(kept()).not.toBeNull();
  });

  test('of this visit holds where what is kept is read late', async () => {
    const first = await visit();
    for (let i = 0; i < 8; i++) await ask(first);
    const { server } = first.diagnostics().estimates;
    await first.close();
    const { get } = harness.files;
    harness.files.get = async (name) => {
      if (name === NAME) await pause(harness.clock, 100, new AbortController().signal);
      return get(name);
    };
    const second = await visit();
    const before = roundTripMs(second);
    expect(second.diagnostics().estimates.server).toBe(1);
    await harness.pass(100);
    // A ping has told of the link by now, and nothing of the server.
    expect(roundTripMs(second)).toBe(before);
    expect(second.diagnostics().estimates.server).toBe(server);
  });

  test('is not written over before it was read', async () => {
    const first = await visit();
    await ask(first);
    await first.close();
    const bytes = harness.kept.get(NAME);
    const { get } = harness.files;
    harness.files.get = (name) => (name === NAME ? new Promise(() => {}) : get(name));
    const second = await visit();
    await ask(second);
    await harness.pass(6_000);
    await second.close();
    expect(harness.kept.get(NAME)).toBe(bytes);
  });

  test('is not asked of a store that fails, or holds something else', async () => {
    harness.kept.set(NAME, new TextEncoder().encode('{"version":1}'));
    const client = await visit();
    await ask(client);
    await client.close();
    expect(kept()).not.toBeNull();
    const { get, put } = harness.files;
    harness.files.get = (name) => (name === NAME ? Promise.reject(new Error('broken')) : get(name));
    harness.files.put = (name, bytes) => (name === NAME ? Promise.reject(new Error('quota')) : put(name, bytes));
    const loose: unknown[] = [];
    const onLoose = (reason: unknown) => loose.push(reason);
    process.on('unhandledRejection', onLoose);
    const second = await visit();
    await ask(second);
    await harness.pass(6_000);
    await second.close();
    process.off('unhandledRejection', onLoose);
    expect(loose).toEqual([]);
  });

  test('stays when files that no plan names are let go', async () => {
    const first = await visit();
    await ask(first);
    await first.close();
    harness.kept.set(STRAY, Uint8Array.of(9));
    const second = await visit();
    await harness.pass(10);
    await second.close();
    expect(harness.kept.has(STRAY)).toBe(false);
    expect(kept()).not.toBeNull();
  });

  test('is kept by nobody who has no calendar', async () => {
    host = {};
    const client = await visit();
    await ask(client);
    await harness.pass(6_000);
    await client.close();
    expect(harness.kept.has(NAME)).toBe(false);
  });
});

describe('what was learnt is doubted', () => {
  /** How wide the link is thought to be, over what it was. */
  async function widthAfter(happens: () => void): Promise<number> {
    const client = await harness.connect({}, host);
    await harness.pass(1);
    for (let i = 0; i < 8; i++) await ask(client);
    const width = async () => {
      const { chosen } = await client.explain(PICTURE, { label: 'public', force: { k: 0 } });
      return (chosen?.predicted.highMs ?? 0) / (chosen?.predicted.lowMs ?? 0);
    };
    const before = await width();
    happens();
    return (await width()) / before;
  }

  test('on another network, of the link', async () => {
    let change = () => {};
    host.onNetwork = (listener) => {
      change = listener;
      return () => {};
    };
    expect(await widthAfter(() => change())).toBeGreaterThan(1.1);
  });

  test('after a while in the background, of the link, and not after a moment', async () => {
    expect(await widthAfter(() => harness.wakeUp(1_000))).toBe(1);
    expect(await widthAfter(() => harness.wakeUp(60_000))).toBeGreaterThan(1.1);
  });
});

describe('what the user saves', () => {
  test('is asked at each decision', async () => {
    const saved = { data: false, power: false };
    host = { ...host, savesData: () => saved.data, savesPower: () => saved.power };
    const client = await visit();
    const reasons = async () => {
      const { removed } = await client.explain(PICTURE, { label: 'public' });
      return new Set(removed.map(({ reason }) => reason.split(',')[0]));
    };
    expect([...(await reasons())]).toEqual([]);
    saved.data = true;
    expect([...(await reasons())]).toEqual(['the user saves data']);
    Object.assign(saved, { data: false, power: true });
    expect([...(await reasons())]).toEqual(['the battery is low']);
  });
});
