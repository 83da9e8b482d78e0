/** Files in parts over a link of a known rate and round trip: what is asked for when, and how much of it. */
import { describe, expect, test } from 'vitest';
import { fetchBytes, type Parts, type Received } from '../../client/fetch-bytes.ts';
import type { Host } from '../../client/host.ts';
import { FakeClock } from '../../client/testkit/fake-clock.ts';
import type { Clock } from '../../shared/clock.ts';

const RTT_MS = 50;
const FILE = Uint8Array.from({ length: 3_000_000 }, (_, i) => (i * 31) % 251);

/** Quicker than comparing millions of elements one by one. */
const isFile = (bytes: Uint8Array) => Buffer.compare(bytes, FILE) === 0;

interface Link {
  bytesPerMs: number;
  rttMs?: number;
  /** What it gives of what it is asked for; default: that. */
  gives?: (from: number, to: number) => number;
  /** Of a server that knows no ranges. */
  isPlain?: boolean;
}

function downloadOver(link: Link, whenIdle = () => Promise.resolve()) {
  const clock = new FakeClock();
  const wait = (ms: number) => new Promise<void>((resolve) => clock.after(ms, resolve));
  const asked: [number, number][] = [];
  let underWay = 0;
  let most = 0;
  let freeAtMs = 0;
  const serve = async (_url: string, init?: RequestInit): Promise<Response> => {
    const [from = 0, last = FILE.length - 1] =
      new Headers(init?.headers).get('Range')?.match(/\d+/g)?.map(Number) ?? [];
    asked.push([from, last + 1]);
    most = Math.max(most, ++underWay);
    await wait(link.rttMs ?? RTT_MS);
    const bytes = link.isPlain ? FILE : FILE.slice(from, link.gives?.(from, last + 1) ?? last + 1);
    const startMs = Math.max(clock.now(), freeAtMs);
    freeAtMs = startMs + bytes.length / link.bytesPerMs;
    const endMs = freeAtMs;
    await wait(startMs - clock.now());
    const body = new ReadableStream({
      async pull(controller) {
        await wait(endMs - clock.now());
        underWay--;
        controller.enqueue(bytes);
        controller.close();
      },
    });
    return new Response(body, { status: link.isPlain ? 200 : 206 });
  };
  const parts: Parts = { bytes: 32 * 1024, rttMs: Number.POSITIVE_INFINITY, whenIdle };
  /** Timers of the fetch. */
  const watches = new Set<object>();
  const watched: Clock = {
    now: () => clock.now(),
    after(ms, action) {
      const watch = {};
      watches.add(watch);
      const stop = clock.after(ms, action);
      return () => {
        watches.delete(watch);
        stop();
      };
    },
  };
  const host = { clock: watched, fetch: serve } as unknown as Host;
  const start = (signal?: AbortSignal, received: Received = { length: 0 }) =>
    fetchBytes(host, 'https://gateway.example/1.onnx', { bytesMax: FILE.length, parts, signal, received });
  return { clock, asked, watches, parts, start, most: () => most };
}

/** Of a fetch of the whole file: how much of the link's time it made use of. */
async function use(bytesPerMs: number) {
  const { clock, parts, start, most } = downloadOver({ bytesPerMs });
  const startMs = clock.now();
  expect(isFile(await clock.run(start(), 120_000))).toBe(true);
  return { used: FILE.length / bytesPerMs / (clock.now() - startMs), parts, most: most() };
}

describe('a file in parts', () => {
  test('fills the link with two parts on their way at most, each of which comes soon', async () => {
    const { used, parts, most } = await use(500);
    expect(used).toBeGreaterThan(0.9);
    expect(most).toBe(2);
    expect(parts.bytes / 500).toBeLessThanOrEqual(100);
  });

  test('asks for more at a time where the link is faster, and for less where it is slow', async () => {
    const fast = await use(5000);
    expect(fast.used).toBeGreaterThan(0.6);
    expect(fast.parts.bytes).toBeGreaterThan(100_000);
    expect((await use(50)).parts.bytes).toBe(16 * 1024);
  });

  test('asks for none while it is to yield, and goes on where it was', async () => {
    let wake = () => {};
    let idle = Promise.resolve();
    const { clock, asked, start } = downloadOver({ bytesPerMs: 500 }, () => idle);
    const coming = start();
    await clock.advance(300);
    idle = new Promise((resolve) => {
      wake = resolve;
    });
    await clock.advance(300);
    const before = asked.length;
    await clock.advance(1000);
    expect(asked).toHaveLength(before);
    wake();
    expect(isFile(await clock.run(coming))).toBe(true);
    expect(asked.slice(1).map(([from]) => from)).toEqual(asked.slice(0, -1).map(([, to]) => to));
  });

  test.each([
    [500, 10, 100],
    [1000, 20, 150],
    [1000, 50, 300],
  ])(
    'goes on as fast at %d bytes/ms when its round trip grows from %d to %d ms, as on another network',
    async (bytesPerMs, beforeMs, nowMs) => {
      const link = { bytesPerMs, rttMs: beforeMs };
      const { clock, start } = downloadOver(link);
      const coming = start();
      await clock.advance(600);
      const startMs = clock.now();
      link.rttMs = nowMs;
      await clock.run(coming, 120_000);
      const tookMs = clock.now() - startMs;
      const other = downloadOver({ bytesPerMs, rttMs: nowMs });
      await other.clock.run(other.start(), 120_000);
      expect(tookMs).toBeLessThan(1.3 * other.clock.now());
    },
  );

  test('fills a slow link too, though each of its parts takes long', async () => {
    expect((await use(50)).used).toBeGreaterThan(0.9);
  });

  test.each([
    ['less', (from: number, to: number) => (from < 1_000_000 ? to : Math.min(to, 1_000_100))],
    ['more', (from: number, to: number) => (from === 0 ? to + 1000 : to)],
  ])('that is given %s than was asked for is asked for anew from where it is', async (_, gives) => {
    const link: Link = { bytesPerMs: 500, gives };
    const { clock, asked, start } = downloadOver(link);
    const received: Received = { length: 0 };
    await expect(clock.run(start(undefined, received))).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    const before = asked.length;
    const { length } = received;
    expect(length).toBeGreaterThan(1000);
    expect(Buffer.compare(received.bytes?.subarray(0, length) as Uint8Array, FILE.subarray(0, length))).toBe(0);
    link.gives = (_from, to) => to;
    expect(isFile(await clock.run(start(undefined, received)))).toBe(true);
    expect(asked[before]?.[0]).toBe(length);
  });

  test('that broke off behind its last byte is there', async () => {
    const { clock, asked, start } = downloadOver({ bytesPerMs: 500 });
    const received: Received = { bytes: FILE.slice(), length: FILE.length };
    expect(isFile(await clock.run(start(undefined, received)))).toBe(true);
    expect([asked, received]).toEqual([[], { length: 0 }]);
  });

  test('comes whole from a server that knows no ranges', async () => {
    const { clock, asked, start } = downloadOver({ bytesPerMs: 500, isPlain: true });
    expect(isFile(await clock.run(start()))).toBe(true);
    expect(asked).toHaveLength(1);
  });

  test('leaves nothing behind where it is given up while the next part waits its turn', async () => {
    let wake = () => {};
    const busy = new Promise<void>((resolve) => {
      wake = resolve;
    });
    let asks = 0;
    const whenIdle = async () => (++asks === 2 ? busy : undefined);
    const { clock, asked, watches, start } = downloadOver({ bytesPerMs: 500 }, whenIdle);
    const controller = new AbortController();
    const coming = start(controller.signal);
    coming.catch(() => {});
    await clock.advance(60);
    controller.abort(new Error('enough'));
    await clock.advance(200);
    await expect(coming).rejects.toThrow('enough');
    wake();
    await clock.advance(200);
    expect(asked).toHaveLength(1);
    expect(watches.size).toBe(0);
  });
});
