/** Networks made up from a seed: one of each kind in turn, so that any number of them covers all kinds. */
import { gaussian, type Random, seededRandom } from '../../shared/random.ts';
import { Capacity, type Piece } from '../capacity.ts';
import { constantLink, constantRoundTrip, LINK_DEFAULTS, type LinkDefaults, sleepOf } from './assemble.ts';
import { bytesPerMs } from './parse.ts';
import { NO_SLEEP, type Trace } from './trace.ts';

const STEP_MS = 500;
const PERIOD_MS = 600_000;

/** Uplink in Mbit/s at each step. */
type Shape = (random: Random, steps: number) => number[];

/** Even on a logarithmic scale: links of all speeds come up. */
function drawn(random: Random, min: number, max: number): number {
  return min * (max / min) ** random();
}

const SHAPES: Readonly<Record<string, Shape>> = {
  constant: (random, steps) => {
    const mbps = drawn(random, 0.2, 20);
    return Array.from({ length: steps }, () => mbps);
  },
  /** Good and bad spells, as of Gilbert and Elliott's channel, some seconds long. */
  'good-bad': (random, steps) => {
    const [good, bad] = [drawn(random, 3, 20), drawn(random, 0.05, 0.5)];
    let isGood = true;
    return Array.from({ length: steps }, () => {
      if (random() < (isGood ? 0.03 : 0.08)) isGood = !isGood;
      return isGood ? good : bad;
    });
  },
  sine: (random, steps) => {
    const [mean, turns] = [drawn(random, 0.5, 8), drawn(random, 4, 20)];
    return Array.from({ length: steps }, (_, i) => mean * 8 ** Math.sin((2 * Math.PI * turns * i) / steps));
  },
  steps: (random, steps) => {
    let mbps = drawn(random, 0.1, 20);
    return Array.from({ length: steps }, (_, i) => {
      if (i % 60 === 0) mbps = drawn(random, 0.1, 20);
      return mbps;
    });
  },
  /** A steady link that is dead for some seconds now and then. */
  outages: (random, steps) => {
    const mbps = drawn(random, 1, 10);
    let deadSteps = 0;
    return Array.from({ length: steps }, () => {
      if (deadSteps > 0) deadSteps--;
      else if (random() < 0.015) deadSteps = 4 + Math.floor(random() * 30);
      return deadSteps > 0 ? 0 : mbps;
    });
  },
  /** A logarithm that wanders and returns, with fading on top, as packet traces of LTE look. */
  'lte-like': (random, steps) => {
    const mean = Math.log(drawn(random, 1, 8));
    let log = mean;
    return Array.from({ length: steps }, () => {
      log += 0.05 * (mean - log) + 0.25 * gaussian(random);
      return Math.exp(log + 0.35 * gaussian(random));
    });
  },
};

export const SYNTHETIC_KINDS: readonly string[] = Object.keys(SHAPES);

export function syntheticTraces(count: number, seed: number): Trace[] {
  return Array.from({ length: count }, (_, i) => {
    const kind = SYNTHETIC_KINDS[i % SYNTHETIC_KINDS.length] as string;
    const random = seededRandom(seed * 7919 + i);
    const name = `${kind}-${Math.floor(i / SYNTHETIC_KINDS.length) + 1}`;
    const mbps = (SHAPES[kind] as Shape)(random, PERIOD_MS / STEP_MS);
    const up = new Capacity(piecesOf(mbps), PERIOD_MS);
    const roundTripMs = drawn(random, 15, 120);
    const down = up.scaled(1 / LINK_DEFAULTS.uplinkShare);
    const roundTrip = constantRoundTrip({ ...LINK_DEFAULTS, roundTripMs });
    return { name, collection: 'synthetic', up, down, roundTrip, ...sleepOf('synthetic', LINK_DEFAULTS) };
  });
}

function piecesOf(mbps: readonly number[]): Piece[] {
  return mbps.map((value, i) => ({ atMs: i * STEP_MS, rate: bytesPerMs(value) }));
}

/** A link of one uplink rate, always awake. */
export function fixedRateTrace(mbps: number, defaults: LinkDefaults = LINK_DEFAULTS): Trace {
  const roundTrip = constantRoundTrip(defaults);
  const base = { name: `${mbps} Mbit/s`, collection: 'fixed rates', remarks: [] };
  return { ...base, ...constantLink({ ...defaults, mbps }), roundTrip, wakeUp: NO_SLEEP };
}
