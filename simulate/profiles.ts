/** Devices and servers: how fast they are against the plan over time, how noisy, and what energy costs. */
import * as v from 'valibot';
import { messageOf, TandemError } from '../shared/errors.ts';
import { amount, integer, parseAs, text } from '../shared/parse.ts';
import { Capacity, type Piece } from './capacity.ts';

const positive = v.pipe(v.number(), v.finite(), v.gtValue(0));
/** [seconds, value] pairs by rising seconds; each value holds until the next. */
const timeline = v.array(v.strictTuple([amount, amount]));

/** Constants of Huang et al. (MobiSys 2012) for a phone on LTE; 3 W for a busy core is a guess. */
const Energy = v.strictObject({
  deviceWatts: v.optional(amount, 3),
  joulesPerByteUp: v.optional(amount, 3.5e-6),
  joulesPerByteDown: v.optional(amount, 4.2e-7),
  /** Of the radio while it sends or receives. */
  radioWatts: v.optional(amount, 1.29),
  /** After the last byte the radio stays awake for so long, at so much. */
  tailMs: v.optional(amount, 11_600),
  tailWatts: v.optional(amount, 1.06),
});

const DeviceSchema = v.strictObject({
  name: v.optional(text(64), 'own'),
  /** Key of the plan's `measured.timeMs`. */
  target: v.optional(text(), 'wasm'),
  /** Times of the device over those that were measured: 2 is twice as slow. */
  ratio: v.optional(positive, 2),
  /** Further factors over time; 0 stands for a page that the browser has stopped. */
  slowdown: v.optional(timeline, []),
  /** After how many seconds `slowdown` begins anew; by default never. */
  periodS: v.optional(positive),
  /** Deviation of the logarithm of each segment's time. */
  noise: v.optional(amount, 0.08),
  /** Time to encode a boundary over the server's time to decode it, before `ratio`. */
  encodePerDecode: v.optional(amount, 1),
  /** Milliseconds of a request besides segments and encoding, before `ratio`: making the input, the client's own work. */
  overheadMs: v.optional(amount, 0),
  energy: v.optional(Energy, {}),
});

const ServerSchema = v.strictObject({
  name: v.optional(text(64), 'own'),
  workers: v.optional(integer(1, 4096), 2),
  ratio: v.optional(positive, 1),
  /** Share of its speed over time. */
  capacity: v.optional(timeline, []),
  periodS: v.optional(positive),
  queueDepthMax: v.optional(integer(0, 100_000), 64),
  /** Milliseconds of a request besides decoding and running, before `ratio`. */
  overheadMs: v.optional(amount, 0),
  noise: v.optional(amount, 0.1),
});

export type Energy = v.InferOutput<typeof Energy>;
export type DeviceProfile = Omit<v.InferOutput<typeof DeviceSchema>, 'slowdown' | 'periodS' | 'ratio'> & {
  /** Planned milliseconds of work done in a millisecond. */
  readonly speed: Capacity;
};
export type ServerProfile = Omit<v.InferOutput<typeof ServerSchema>, 'capacity' | 'periodS' | 'ratio'> & {
  readonly speed: Capacity;
};

const NEVER_MS = 1e12;

/** Throws BAD_CONFIG. */
export function parseDevice(value: unknown, what: string): DeviceProfile {
  const { ratio, slowdown, periodS, ...rest } = parseAs(DeviceSchema, value, 'BAD_CONFIG', what);
  if (slowdown.at(-1)?.[1] === 0 && periodS === undefined) {
    throw new TandemError(
      'BAD_CONFIG',
      `${what}: expected slowdown to end with more than 0, or periodS: it never goes on`,
    );
  }
  const speed = speedOf(slowdown, periodS, (factor) => (factor === 0 ? 0 : 1 / (ratio * factor)), what);
  return { ...rest, speed };
}

/** Throws BAD_CONFIG. */
export function parseServer(value: unknown, what: string): ServerProfile {
  const { ratio, capacity, periodS, ...rest } = parseAs(ServerSchema, value, 'BAD_CONFIG', what);
  return { ...rest, speed: speedOf(capacity, periodS, (share) => share / ratio, what) };
}

function speedOf(
  points: readonly (readonly [number, number])[],
  periodS: number | undefined,
  rateOf: (value: number) => number,
  what: string,
): Capacity {
  const pieces: Piece[] = points.map(([seconds, value]) => ({ atMs: seconds * 1000, rate: rateOf(value) }));
  if (pieces[0]?.atMs !== 0) pieces.unshift({ atMs: 0, rate: rateOf(1) });
  try {
    return new Capacity(pieces, periodS === undefined ? NEVER_MS : periodS * 1000);
  } catch (error) {
    throw new TandemError('BAD_CONFIG', `${what}: a timeline: ${messageOf(error)}`, { cause: error });
  }
}

/** Devices by name. Phones against the build machine's WebAssembly are as the compiler's profiles have them. */
export const DEVICES: Readonly<Record<string, unknown>> = {
  laptop: { name: 'laptop', ratio: 1 },
  phone: { name: 'phone', ratio: 2 },
  'old-phone': { name: 'old-phone', ratio: 6 },
  /** Throttles by half when it is hot, and cools down again. */
  'hot-phone': {
    ...{ name: 'hot-phone', ratio: 2, periodS: 300 },
    slowdown: [0, 30, 60, 90, 120, 150, 180, 240].map((s) => [s, 1 + 0.8 * Math.sin((Math.PI * s) / 300) ** 2]),
  },
  /** The page is in the background for 5 s in every 60, and stops. */
  'background-tab': {
    name: 'background-tab',
    ratio: 2,
    slowdown: [
      [0, 1],
      [30, 0],
      [35, 1],
    ],
    periodS: 60,
  },
};
