/**
 * What happens to each request whoever schedules it: when it comes, how large it is, and the luck it has. Drawn before
 * anything runs, so that every scheduler, and every "what if", meets the same.
 */
import type { Plan, PlanSize } from '../shared/plan.ts';
import { gaussian, type Random, seededRandom } from '../shared/random.ts';

export type Arrivals =
  /** The next begins when the last is answered and so much time has passed. */
  | { readonly type: 'closed'; readonly thinkMs: number }
  | { readonly type: 'fixed' | 'poisson'; readonly intervalMs: number }
  | { readonly type: 'listed'; readonly atMs: readonly number[] };

/** Factors are around 1. */
export interface Draws {
  /** When it comes; null in a closed loop, where that depends on the one before. */
  readonly arrivesMs: number | null;
  readonly size: number;
  readonly bytes: number;
  readonly up: number;
  readonly down: number;
  /** In [0, 1): which of the wake-ups seen after such an idle time. */
  readonly wake: number;
  /** Of each segment. */
  readonly device: readonly number[];
  readonly encode: number;
  readonly server: number;
}

export interface DrawOptions {
  readonly arrivals: Arrivals;
  readonly seed: number;
  readonly linkSpread: number;
  readonly deviceNoise: number;
  readonly serverNoise: number;
}

/** Deviation of the logarithm of the size around the typical one, and of coded bytes around the plan's. */
const SIZE_SPREAD = 0.35;
const BYTES_SPREAD = 0.12;

export function drawRequests(plan: Plan, options: DrawOptions): (index: number) => Draws {
  const { arrivals, seed } = options;
  const random = seededRandom(seed);
  const made: Draws[] = [];
  let lastMs = 0;
  const arrive = (index: number): number | null => {
    switch (arrivals.type) {
      case 'closed':
        return null;
      case 'listed':
        return arrivals.atMs[index] as number;
      case 'fixed':
        // Clients are not in step with each other.
        lastMs = index === 0 ? random() * arrivals.intervalMs : lastMs + arrivals.intervalMs;
        return lastMs;
      case 'poisson':
        lastMs -= Math.log(1 - random()) * arrivals.intervalMs;
        return lastMs;
    }
  };
  const around = (spread: number) => (spread === 0 ? 1 : Math.exp(spread * gaussian(random)));
  return (index) => {
    while (made.length <= index) {
      made.push({
        arrivesMs: arrive(made.length),
        size: drawSize(plan.size, random),
        bytes: around(BYTES_SPREAD),
        up: around(options.linkSpread),
        down: around(options.linkSpread),
        wake: random(),
        device: plan.segments.map(() => around(options.deviceNoise)),
        encode: around(options.deviceNoise),
        server: around(options.serverNoise),
      });
    }
    return made[index] as Draws;
  };
}

function drawSize({ min, max, step, typical }: PlanSize, random: Random): number {
  const size = typical * Math.exp(SIZE_SPREAD * gaussian(random));
  return Math.min(max, Math.max(min, Math.round(size / step) * step));
}
