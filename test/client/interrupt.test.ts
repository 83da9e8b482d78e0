/** What ends a request that waits, also in the moment in which what it waits for comes. */
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { headDevice } from '../../client/head-device.ts';
import { fakePictures } from '../../client/testkit/fake-pictures.ts';
import type { Client, InferOptions } from '../../client/types.ts';
import { ClientHarness, PICTURE } from '../helpers/client-harness.ts';

// A loop of microtasks would hang the test, as it hangs a page: here it ends with an error.
let turns: number;
function turn(): void {
  if (++turns > 10_000) throw new Error('it spins');
}
let harness: ClientHarness;
beforeEach(() => {
  turns = 0;
  const race = Promise.race.bind(Promise);
  vi.spyOn(Promise, 'race').mockImplementation((values) => {
    turn();
    return race(values as Iterable<unknown>);
  });
  const { addEventListener } = EventTarget.prototype;
  vi.spyOn(EventTarget.prototype, 'addEventListener').mockImplementation(function (this: EventTarget, ...args) {
    turn();
    addEventListener.apply(this, args);
  });
  harness = new ClientHarness();
});
afterEach(() => {
  vi.restoreAllMocks();
  expect(turns).toBeLessThan(1000);
});

const begin = (client: Client, options: InferOptions) => {
  const result = client.infer(PICTURE, options);
  result.catch(() => {});
  return result;
};

test('closing the client ends a request that waits for the next device', async () => {
  const client = await harness.ready();
  await harness.loseDevice();
  const result = begin(client, { label: 'secret' });
  await harness.pass(1);
  await client.close();
  await expect(result).rejects.toMatchObject({ code: 'CLOSED' });
});

describe('a signal that a listener aborts as the state changes', () => {
  /** The connection breaks, and the listener that is told of it has had enough. */
  const abortAsLinkBreaks = async (client: Client, abort: AbortController) => {
    client.addEventListener('statechange', () => abort.abort(new Error('left')));
    await harness.cut();
  };

  test('ends a request that waits for the next device', async () => {
    const client = await harness.ready();
    await harness.loseDevice();
    const abort = new AbortController();
    const result = begin(client, { label: 'secret', signal: abort.signal });
    await harness.pass(1);
    await abortAsLinkBreaks(client, abort);
    await expect(result).rejects.toThrow('left');
  });

  test('ends a request that waits for the whole plan', async () => {
    harness.head = structuredClone(harness.plan);
    for (const boundary of harness.head.boundaries) {
      if (boundary.tiers.length > 1) Object.assign(boundary, { tiers: [] });
    }
    const client = await harness.connect(
      {},
      { headDevice: (plan) => headDevice(plan, 'wasm', fakePictures(), harness.clock) },
    );
    const abort = new AbortController();
    const result = begin(client, { label: 'public', force: { k: 1, tier: 'q8' }, signal: abort.signal });
    await harness.pass(1);
    await abortAsLinkBreaks(client, abort);
    await expect(result).rejects.toThrow('left');
  });
});
