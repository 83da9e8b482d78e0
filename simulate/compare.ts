/** Every scheduler on one network. */
import { seededRandom } from '../shared/random.ts';
import { choiceText } from './choices.ts';
import { type Scenario, scenarioOf, type WorldOptions } from './scenario.ts';
import { alwaysLocal, alwaysRemote, fixed } from './schedulers/fixed.ts';
import { LinUcb } from './schedulers/lin-ucb.ts';
import { Neurosurgeon } from './schedulers/neurosurgeon.ts';
import { oracle } from './schedulers/oracle.ts';
import { Tandem } from './schedulers/tandem.ts';
import { latencyMs, type Run } from './summary.ts';
import { type MakeScheduler, simulate, type WorldResult } from './world.ts';

/** Ours, and what it is measured against. `best-fixed` is known in hindsight alone. */
const MAKERS: Readonly<Record<string, MakeScheduler>> = {
  local: alwaysLocal,
  remote: alwaysRemote,
  neurosurgeon: (known) => new Neurosurgeon(known),
  bandit: (known) => new LinUcb(known),
  tandem: (known, seed) => new Tandem(known, seededRandom(seed)),
  oracle,
};
const BEST_FIXED = 'best-fixed';

export const SCHEDULERS: readonly string[] = [
  'local',
  'remote',
  BEST_FIXED,
  'neurosurgeon',
  'bandit',
  'tandem',
  'oracle',
];

/** @param names of SCHEDULERS */
export function compareOn(options: WorldOptions, names: readonly string[] = SCHEDULERS): Run[] {
  const { name: trace, collection } = options.trace;
  const asked = options.requests * options.clients;
  const scenario = scenarioOf(options);
  return names.map((scheduler) => {
    const maker = MAKERS[scheduler];
    if (maker) return { trace, collection, scheduler, detail: null, asked, result: simulate(scenario, maker) };
    return { trace, collection, scheduler, asked, ...bestFixed(scenario) };
  });
}

/** The (k, tier) that, taken for every request, would have had the least mean latency. */
function bestFixed(scenario: Scenario): { detail: string; result: WorldResult } {
  const { choices } = scenario.known;
  const totals = choices.map((choice) => {
    const { records } = simulate(scenario, () => fixed(choice), { asksOracle: false });
    return records.reduce((sum, record) => sum + latencyMs(record), 0);
  });
  const choice = choices[totals.indexOf(Math.min(...totals))] ?? choices[0];
  if (!choice) throw new RangeError('a plan has at least one choice');
  return { detail: choiceText(choice), result: simulate(scenario, () => fixed(choice)) };
}
