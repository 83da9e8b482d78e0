/** A server and its clients, run from beginning to end: the same from the same seed, whatever runs it. */
import { Client } from './client.ts';
import type { PlanCosts } from './costs.ts';
import { Events } from './events.ts';
import type { Known } from './known.ts';
import { Link } from './link.ts';
import type { DeviceProfile } from './profiles.ts';
import type { RequestRecord } from './request.ts';
import type { Scenario } from './scenario.ts';
import { alwaysRemote } from './schedulers/fixed.ts';
import type { Scheduler } from './schedulers/scheduler.ts';
import { Server } from './server.ts';

export interface Sample {
  readonly atMs: number;
  /** Waiting or running at the server. */
  readonly inFlight: number;
}

export interface WorldResult {
  readonly records: readonly RequestRecord[];
  /** Of all clients that are counted, in joules. */
  readonly energyJ: number;
  /** The server, once in every second in which there is something to answer. */
  readonly samples: readonly Sample[];
}

/** What clients and their requests share. */
export interface World {
  readonly events: Events;
  readonly server: Server;
  readonly costs: PlanCosts;
  readonly device: DeviceProfile;
  readonly deadlineMs: number;
  /** Whether requests of one client are under way at the same time. */
  readonly overlaps: boolean;
  /** Whether each request is compared with what would have been best. */
  readonly asksOracle: boolean;
}

export type MakeScheduler = (known: Known, seed: number) => Scheduler;

/** Of samples, and of the timeline that is made of them. */
export const SECOND_MS = 1000;

/** @param make a scheduler for each client, all of one kind */
export function simulate(scenario: Scenario, make: MakeScheduler, { asksOracle = true } = {}): WorldResult {
  const { options, known, costs, players } = scenario;
  const { device, trace, requests, deadlineMs, overlaps = false } = options;
  const events = new Events();
  const server = new Server(events, options.server);
  const world: World = { events, server, costs, device, deadlineMs, overlaps, asksOracle };
  let open = options.clients;
  const sampler = new Sampler(events, server);
  const counting = {
    onArrival: () => sampler.begin(),
    onSettled: (count: number) => {
      sampler.end();
      if (count === requests) open--;
    },
  };
  const clients = players.map(
    (player) =>
      new Client(world, {
        player,
        link: new Link(trace, player.offsetMs),
        scheduler: player.isOther ? alwaysRemote(known) : make(known, player.seed),
        requests: player.isOther ? Number.POSITIVE_INFINITY : requests,
        ...(player.isOther ? {} : counting),
      }),
  );
  for (const client of clients) client.start();
  events.run(() => open === 0);
  const counted = clients.slice(0, options.clients);
  return {
    records: counted.flatMap(({ records }) => records),
    energyJ: counted.reduce((sum, { energy }) => sum + energy.deviceJ + energy.radioJ, 0),
    samples: sampler.samples,
  };
}

class Sampler {
  readonly samples: Sample[] = [];
  private readonly events: Events;
  private readonly server: Server;
  /** Requests that have arrived and are not over. */
  private open = 0;
  private isPlanned = false;

  constructor(events: Events, server: Server) {
    this.events = events;
    this.server = server;
  }

  begin(): void {
    this.open++;
    if (!this.isPlanned) this.sample();
  }

  end(): void {
    this.open--;
  }

  private sample(): void {
    const { nowMs } = this.events;
    this.samples.push({ atMs: nowMs, inFlight: this.server.inFlight });
    this.isPlanned = true;
    this.events.at((Math.floor(nowMs / SECOND_MS) + 1) * SECOND_MS, () => {
      this.isPlanned = false;
      if (this.open > 0) this.sample();
    });
  }
}
