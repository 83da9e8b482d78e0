/** A plan, a server and its clients, run from beginning to end: the same from the same seed, whatever runs it. */
import type { Plan } from '../shared/plan.ts';
import { seededRandom } from '../shared/random.ts';
import { Client, type RequestRecord } from './client.ts';
import { PlanCosts } from './costs.ts';
import { Events } from './events.ts';
import { type Known, knownOf } from './known.ts';
import { Link } from './link.ts';
import type { DeviceProfile, ServerProfile } from './profiles.ts';
import { type Arrivals, drawRequests } from './requests.ts';
import { alwaysRemote } from './schedulers/fixed.ts';
import type { Scheduler } from './schedulers/scheduler.ts';
import { Server } from './server.ts';
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
}

export interface Sample {
  readonly atMs: number;
  /** Waiting or running at the server. */
  readonly inFlight: number;
}

export interface WorldResult {
  readonly records: readonly RequestRecord[];
  /** Of all clients that are counted, in joules. */
  readonly energyJ: number;
  /** The server once a second. */
  readonly samples: readonly Sample[];
}

export class World {
  readonly events = new Events();
  readonly server: Server;
  readonly costs: PlanCosts;
  readonly device: DeviceProfile;
  readonly deadlineMs: number;
  /** Whether each request is compared with what would have been best. */
  readonly asksOracle: boolean;

  constructor({ device, server, deadlineMs }: WorldOptions, { plan, target, choices }: Known, asksOracle: boolean) {
    this.device = device;
    this.deadlineMs = deadlineMs;
    this.asksOracle = asksOracle;
    this.server = new Server(this.events, server);
    this.costs = new PlanCosts(plan, target, choices, device.encodePerDecode);
  }
}

export type MakeScheduler = (known: Known, seed: number) => Scheduler;

/** @param make a scheduler for each client, all of one kind */
export function simulate(options: WorldOptions, make: MakeScheduler, { asksOracle = true } = {}): WorldResult {
  const { plan, device, accuracyDropMax, floor } = options;
  const known = knownOf(plan, { target: device.target, accuracyDropMax, floor });
  const world = new World(options, known, asksOracle);
  const { clients: count, others, seed } = options;
  const random = seededRandom(seed);
  let open = count;
  const clients = Array.from({ length: count + others }, (_, id) => {
    const isOther = id >= count;
    const own = Math.floor(random() * 2 ** 31);
    const arrivals: Arrivals = isOther ? { type: 'closed', thinkMs: 0 } : options.arrivals;
    return new Client(world, {
      id,
      // One client meets the trace from its beginning; many are at different places of it.
      link: new Link(options.trace, count + others === 1 ? 0 : random() * options.trace.up.periodMs),
      deviceSpeed: device.speed,
      scheduler: isOther ? alwaysRemote(known) : make(known, own),
      drawsOf: drawRequests(plan, {
        ...{ arrivals, seed: own, linkSpread: options.trace.roundTrip.spread },
        ...{ deviceNoise: device.noise, serverNoise: options.server.noise },
      }),
      requests: isOther ? Number.POSITIVE_INFINITY : options.requests,
      onDone: () => {
        open--;
      },
      thinkMs: arrivals.type === 'closed' ? arrivals.thinkMs : 0,
    });
  });
  const counted = clients.slice(0, count);
  const samples: Sample[] = [];
  const sample = () => {
    samples.push({ atMs: world.events.nowMs, inFlight: world.server.inFlight });
    world.events.at(world.events.nowMs + 1000, sample);
  };
  sample();
  for (const client of clients) client.start();
  world.events.run(() => open === 0);
  return {
    records: counted.flatMap(({ records }) => records),
    energyJ: counted.reduce((sum, { energy }) => sum + energy.deviceJ + energy.radioJ, 0),
    samples,
  };
}
