/** What is the same whoever schedules: made once, run under every scheduler. */
import type { Plan } from '../shared/plan.ts';
import { seededRandom } from '../shared/random.ts';
import { PlanCosts } from './costs.ts';
import { type Arrivals, type Draws, drawRequests } from './draws.ts';
import { type Known, knownOf } from './known.ts';
import type { DeviceProfile, ServerProfile } from './profiles.ts';
import type { Trace } from './traces/trace.ts';

export interface WorldOptions {
  readonly plan: Plan;
  readonly trace: Trace;
  readonly device: DeviceProfile;
  readonly server: ServerProfile;
  readonly arrivals: Arrivals;
  readonly seed: number;
  /** Of each client. */
  readonly requests: number;
  readonly clients: number;
  /** Further clients that send everything, one request after the other. */
  readonly others: number;
  readonly deadlineMs: number;
  readonly accuracyDropMax: number;
  /** The shallowest boundary that may be sent. */
  readonly floor: number;
  /** Whether a client begins each request as it arrives, also while others are under way; default: one after the other. */
  readonly overlaps?: boolean;
}

/** A client without its scheduler. */
export interface Player {
  readonly id: number;
  /** It is there to keep the server busy, and is not counted. */
  readonly isOther: boolean;
  /** Where in the trace it begins. */
  readonly offsetMs: number;
  readonly seed: number;
  /** After each answer, in a closed loop. */
  readonly thinkMs: number;
  drawsOf(index: number): Draws;
}

export interface Scenario {
  readonly options: WorldOptions;
  readonly known: Known;
  readonly costs: PlanCosts;
  readonly players: readonly Player[];
}

export function scenarioOf(options: WorldOptions): Scenario {
  const { plan, device, server, trace, accuracyDropMax, floor, clients, others, seed } = options;
  const known = knownOf(plan, { target: device.target, accuracyDropMax, floor });
  const costs = new PlanCosts(plan, device.target, known.choices, {
    encodePerDecode: device.encodePerDecode,
    serverOverheadMs: server.overheadMs,
  });
  const random = seededRandom(seed);
  const players = Array.from({ length: clients + others }, (_, id): Player => {
    const isOther = id >= clients;
    const arrivals: Arrivals = isOther ? { type: 'closed', thinkMs: 0 } : options.arrivals;
    const own = Math.floor(random() * 2 ** 31);
    return {
      id,
      isOther,
      seed: own,
      // One client meets the trace from its beginning; many are at different places of it.
      offsetMs: clients + others === 1 ? 0 : random() * trace.up.periodMs,
      thinkMs: arrivals.type === 'closed' ? arrivals.thinkMs : 0,
      drawsOf: drawRequests(plan, {
        arrivals,
        seed: own,
        linkSpread: trace.roundTrip.spread,
        deviceNoise: device.noise,
        serverNoise: server.noise,
      }),
    };
  });
  return { options, known, costs, players };
}
