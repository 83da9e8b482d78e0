/** The run as the simulator has it: the same requests on the same trace, with what was measured of device, server and link. */
import type { Plan } from '../../shared/plan.ts';
import { DEADLINE_MS_DEFAULT } from '../../shared/protocol/limits.ts';
import { seededRandom } from '../../shared/random.ts';
import { ACCURACY_DROP_MAX } from '../../shared/schedule/table.ts';
import type { RequestRecord } from '../../simulate/request.ts';
import { type Scenario, scenarioOf } from '../../simulate/scenario.ts';
import { Tandem } from '../../simulate/schedulers/tandem.ts';
import type { Trace } from '../../simulate/traces/trace.ts';
import { simulate } from '../../simulate/world.ts';
import type { Profiles } from './profile.ts';
import { type Policy, type Setting, slotMs } from './setting.ts';

/** Worlds that differ in luck alone. */
const SEEDS = 20;

/** @param sizes of the requests @param slot turn of the policy @returns the requests of all worlds */
export function predicted(
  plan: Plan,
  trace: Trace,
  { device, server, roundTripMs }: Profiles,
  { setting, sizes, slot }: { readonly setting: Setting; readonly sizes: readonly number[]; readonly slot: number },
): RequestRecord[] {
  const { requests, policies } = setting;
  const { k } = policies[slot] as Policy;
  // The shaper has no radio that sleeps, and one delay throughout.
  const shaped: Trace = {
    ...trace,
    roundTrip: { samplesMs: [roundTripMs], everyMs: 1000, spread: 0 },
    wakeUp: { samples: [] },
  };
  return Array.from({ length: SEEDS }, (_, i) => {
    const scenario = scenarioOf({
      ...{ plan, trace: shaped, device, server, requests, seed: setting.seed + i },
      arrivals: { type: 'listed', atMs: sizes.map((_size, at) => slotMs(setting, slot, at)) },
      // As clients have it by default.
      ...{ clients: 1, others: 0, deadlineMs: DEADLINE_MS_DEFAULT, accuracyDropMax: ACCURACY_DROP_MAX, floor: 0 },
    });
    const scheduler = (known: Scenario['known'], seed: number) =>
      new Tandem(known, seededRandom(seed), { force: k === null ? null : { k } });
    return simulate(ofSizes(scenario, sizes), scheduler, { asksOracle: false }).records;
  }).flat();
}

/** Requests of given sizes instead of drawn ones. */
function ofSizes(scenario: Scenario, sizes: readonly number[]): Scenario {
  const players = scenario.players.map((player) => ({
    ...player,
    drawsOf: (index: number) => ({ ...player.drawsOf(index), size: sizes[index] as number }),
  }));
  return { ...scenario, players };
}
