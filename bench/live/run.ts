/** The same requests by every policy at once, each with a client, a link and a turn of its own, beside one that only measures. */
import { setTimeout as wait } from 'node:timers/promises';
import { type ShapedLink, shapeLink, type TraceStep } from '../../client/testkit/link-shaper.ts';
import type { Trace } from '../../simulate/traces/trace.ts';
import type { Answer, Ask } from './messages.ts';
import { ClientProcess } from './processes.ts';
import { CONNECT_MS, type Network, type Policy, type Setting, slotMs } from './setting.ts';

export interface LiveRun {
  /** By name of the policy, in the order of the requests. */
  readonly answers: ReadonlyMap<string, readonly Answer[]>;
  /** On a link without a limit, before and between them. */
  readonly before: readonly Answer[];
  readonly gauged: readonly Answer[];
}

/** Rates are sampled: the shaper knows steps, the trace may change at any time. */
const STEP_MS = 50;
/** Of each boundary, before the replay. */
const GAUGED_BEFORE = 6;

/** @param gauged boundaries at which device, server and link are measured */
export async function runLive(
  gatewayUrl: string,
  { trace, delayMs }: Network,
  { setting, gauged: gaugedKs }: { readonly setting: Setting; readonly gauged: readonly number[] },
): Promise<LiveRun> {
  const { policies, requests, seed, slowness, intervalMs } = setting;
  const gaugedAt = (i: number): Ask => ({ line: i % requests, k: gaugedKs[i % gaugedKs.length] as number });
  const links: ShapedLink[] = [];
  const clients: ClientProcess[] = [];
  const open = async () => {
    const link = await shapeLink(gatewayUrl, { delayMs });
    links.push(link);
    const client = await ClientProcess.start({ url: link.url, slowness, lines: requests, seed });
    clients.push(client);
    return { link, client };
  };
  try {
    // One after the other: they warm up undisturbed.
    const players: { policy: Policy; link: ShapedLink; client: ClientProcess }[] = [];
    for (const policy of policies) players.push({ policy, ...(await open()) });
    const { client: gauge } = await open();
    await gauge.open();
    const before: Answer[] = [];
    for (let i = 0; i < GAUGED_BEFORE * gaugedKs.length; i++) before.push(await gauge.ask(gaugedAt(i)));
    // As young as the simulator's when the first request comes: what a client knows grows old.
    await Promise.all(players.map(({ client }) => client.open()));
    const steps = stepsOf(trace, CONNECT_MS + (requests + 2) * intervalMs);
    const beganMs = performance.now();
    for (const { link } of players) link.replay(steps);
    const at = async (ms: number, client: ClientProcess, ask: Ask) => {
      await wait(Math.max(0, beganMs + ms - performance.now()));
      return client.ask(ask);
    };
    const run = (client: ClientProcess, slot: number, askOf: (i: number) => Ask) =>
      Promise.all(
        Array.from({ length: requests }, (_, i) => at(CONNECT_MS + slotMs(setting, slot, i), client, askOf(i))),
      );
    const [gauged = [], ...answers] = await Promise.all([
      run(gauge, policies.length, gaugedAt),
      ...players.map(({ policy, client }, slot) => run(client, slot, (line) => ({ line, k: policy.k }))),
    ]);
    return { before, gauged, answers: new Map(policies.map(({ name }, i) => [name, answers[i] ?? []])) };
  } finally {
    await Promise.all(clients.map((client) => client.kill()));
    await Promise.all(links.map((link) => link.close()));
  }
}

/** @throws RangeError where the trace stands still: the shaper's lines always move */
export function stepsOf({ name, up, down }: Pick<Trace, 'name' | 'up' | 'down'>, untilMs: number): TraceStep[] {
  const steps: TraceStep[] = [];
  for (let atMs = 0; atMs < untilMs; atMs += STEP_MS) {
    const upBytesPerS = 1000 * up.rateAt(atMs);
    const downBytesPerS = 1000 * down.rateAt(atMs);
    if (!(upBytesPerS > 0 && downBytesPerS > 0)) throw new RangeError(`${name} carries nothing at ${atMs} ms`);
    const last = steps.at(-1);
    if (last?.upBytesPerS !== upBytesPerS || last.downBytesPerS !== downBytesPerS) {
      steps.push({ atMs, upBytesPerS, downBytesPerS });
    }
  }
  return steps;
}
