import { describe, expect, test } from 'vitest';
import { smallPlan } from '../../../client/testkit/small-plan.ts';
import { measureTime, type TimeRequest } from '../../../compiler/measure/time.ts';
import type { Progress } from '../../../compiler/progress.ts';
import type { Session } from '../../../shared/runtime.ts';
import { float32, type Tensors } from '../../../shared/tensor.ts';

const input = (width: number): Tensors => ({ x: float32([1, 3, 4, width], new Float32Array(12 * width)) });

/** A clock that stands still but for what `spend` adds, and sessions that spend what they are told. */
function fakeHost() {
  let nowMs = 0;
  const runs: string[] = [];
  /** One segment; `costMs` gets the width of its input and how often it ran before. */
  const session = (name: string, output: string, costMs: (width: number, ran: number) => number): Session => {
    let ran = 0;
    return {
      inputNames: [],
      outputNames: [output],
      async run(feeds) {
        const width = Object.values(feeds)[0]?.shape.at(-1) ?? 0;
        runs.push(`${name} ${width}`);
        nowMs += costMs(width, ran++);
        return { [output]: float32([1, width], new Float32Array(width)) };
      },
      release: async () => {},
    };
  };
  /** A chain whose first segment spends `costMs` and whose second always 1 ms. */
  const chain = (name: string, costMs: (width: number, ran: number) => number): Session[] => [
    session(name, 'h', costMs),
    session(`${name} tail`, 'y', () => 1),
  ];
  return { chain, runs, now: () => nowMs };
}

function request(
  host: ReturnType<typeof fakeHost>,
  chains: ReadonlyMap<string, readonly Session[]>,
  progress: Progress = () => {},
): TimeRequest {
  const places = new Map([...chains].map(([name, sessions]) => [name, { plan: smallPlan(), sessions }]));
  return { places, sizes: [8, 16, 32], input, now: host.now, progress };
}

/** 0/total, 1/total ... */
const shares = (count: number, total: number) => Array.from({ length: count }, (_, i) => i / total);

describe('timing segments', () => {
  test('gives each segment of each place as a function of the size', async () => {
    const host = fakeHost();
    const places = new Map([
      ['server', host.chain('server', (width) => 2 + 0.5 * width)],
      ['wasm', host.chain('wasm', (width) => 10 + 2 * width)],
    ]);
    const tail = { fixed: 1, perSize: 0 };
    expect(await measureTime(request(host, places))).toEqual({
      server: [{ fixed: 2, perSize: 0.5 }, tail],
      wasm: [{ fixed: 10, perSize: 2 }, tail],
    });
  });

  test('does not count the first rounds, in which engines still compile, nor a burst of noise', async () => {
    const host = fakeHost();
    // Three sizes a round: 8 rounds to warm up, and 7 of the 15 behind them noisy.
    const isNoisy = (round: number) => round < 8 || round % 2 === 1;
    const places = new Map([
      ['wasm', host.chain('wasm', (width, ran) => (isNoisy(Math.floor(ran / 3)) ? 300 : width))],
    ]);
    const { wasm } = await measureTime(request(host, places));
    expect(wasm?.[0]).toEqual({ fixed: 0, perSize: 1 });
  });

  test('runs every place at every size once a round, in turning order', async () => {
    const host = fakeHost();
    const places = new Map([
      ['a', host.chain('a', () => 1)],
      ['b', host.chain('b', () => 1)],
    ]);
    await measureTime(request(host, places));
    const heads = host.runs.filter((run) => !run.includes('tail'));
    expect(heads.slice(0, 12)).toEqual([
      ...['b 8', 'a 8', 'b 16', 'a 16', 'b 32', 'a 32'],
      ...['a 8', 'b 8', 'a 16', 'b 16', 'a 32', 'b 32'],
    ]);
    expect(heads).toHaveLength(2 * 3 * 23);
  });

  test('goes on warming up while an engine still becomes faster', async () => {
    const host = fakeHost();
    // Twice as fast after 6 rounds, and again after 9.
    const costMs = (round: number) => (round < 6 ? 200 : round < 9 ? 100 : 50);
    const places = new Map([['a', host.chain('a', (width, ran) => costMs(Math.floor(ran / 3)) + width)]]);
    const { a } = await measureTime(request(host, places));
    // The fastest of four rounds is as fast as the fastest of the four before when both have the ninth's speed.
    expect(host.runs.filter((run) => run === 'a 8')).toHaveLength(14 + 15);
    expect(a?.[0]).toEqual({ fixed: 50, perSize: 1 });
  });

  test('ends warming up where a place never becomes steady', async () => {
    const host = fakeHost();
    await measureTime(
      request(host, new Map([['a', host.chain('a', (_width, ran) => 3 * 1.08 ** Math.floor(ran / 3))]])),
    );
    expect(host.runs.filter((run) => run === 'a 8')).toHaveLength(40 + 15);
  });

  test('runs a very slow place once, and the others as often as ever', async () => {
    const host = fakeHost();
    const places = new Map([
      ['slow', host.chain('slow', (width) => 1000 * width)],
      ['fast', host.chain('fast', (width) => width)],
    ]);
    const { slow, fast } = await measureTime(request(host, places));
    // 56 s a round.
    expect(host.runs.filter((run) => run === 'slow 8')).toHaveLength(1);
    expect(host.runs.filter((run) => run === 'fast 8')).toHaveLength(23);
    expect([slow?.[0]?.perSize, fast?.[0]?.perSize]).toEqual([1000, 1]);
  });

  test("takes the time of an engine that is elsewhere by that engine's clock", async () => {
    const host = fakeHost();
    const chain = host
      .chain('a', () => 500)
      .map((session) => ({
        ...session,
        runTimed: async (feeds: Tensors) => ({ outputs: await session.run(feeds), ms: 7 }),
      }));
    expect((await measureTime(request(host, new Map([['a', chain]]))))['a']).toEqual([
      { fixed: 7, perSize: 0 },
      { fixed: 7, perSize: 0 },
    ]);
  });

  test('tells how far it is, to the end', async () => {
    const host = fakeHost();
    const seen: number[] = [];
    const progress: Progress = ({ done, total }) => seen.push(done / total);
    await measureTime(request(host, new Map([['a', host.chain('a', () => 1)]]), progress));
    expect(seen).toEqual([...shares(8, 40), ...shares(16, 15)]);
  });
});
