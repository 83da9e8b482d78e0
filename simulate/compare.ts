/** Every scheduler on one network. */
import { seededRandom } from '../shared/random.ts';
import { choiceText } from './choices.ts';
import { type Scenario, scenarioOf, type WorldOptions } from './scenario.ts';
import { alwaysLocal, alwaysRemote, fixed } from './schedulers/fixed.ts';
import { LinUcb } from './schedulers/lin-ucb.ts';
import { Neurosurgeon } from './schedulers/neurosurgeon.ts';
import { oracle } from './schedulers/oracle.ts';
import { Tandem } from './schedulers/tandem.ts';
import { latencyMs, type Run, WARM_UP } from './summary.ts';
import { type MakeScheduler, simulate, type WorldResult } from './world.ts';

/** Ours, and what it is measured against. */
const MAKERS: Readonly<Record<string, MakeScheduler>> = {
  local: alwaysLocal,
  remote: alwaysRemote,
  neurosurgeon: (known) => new Neurosurgeon(known),
  bandit: (known) => new LinUcb(known),
  tandem: (known, seed) => new Tandem(known, seededRandom(seed)),
};
/** Known in hindsight alone. */
const BEST_FIXED = 'best-fixed';
const ORACLE = 'oracle';

export const SCHEDULERS: readonly string[] = [
  'local',
  'remote',
  BEST_FIXED,
  'neurosurgeon',
  'bandit',
  'tandem',
  ORACLE,
];

type Outcome = Pick<Run, 'detail' | 'result'>;

/** @param names of SCHEDULERS */
export function compareOn(options: WorldOptions, names: readonly string[] = SCHEDULERS): Run[] {
  const scenario = scenarioOf(options);
  const hindsight = names.includes(BEST_FIXED) || names.includes(ORACLE) ? bestFixed(scenario) : null;
  return names.map((scheduler) => {
    const maker = MAKERS[scheduler];
    if (maker) return { options, scheduler, detail: null, result: simulate(scenario, maker) };
    if (!hindsight) throw new RangeError(`expected one of ${SCHEDULERS.join(', ')}, got ${scheduler}`);
    return { options, scheduler, ...(scheduler === ORACLE ? bestKnown(scenario, hindsight) : hindsight) };
  });
}

/** The (k, tier) that, taken for every request, would have had the least mean latency. */
function bestFixed(scenario: Scenario): Outcome {
  const { choices } = scenario.known;
  const means = choices.map((choice) => countedMeanMs(simulate(scenario, () => fixed(choice), { asksOracle: false })));
  const choice = choices[means.indexOf(Math.min(...means))] ?? choices[0];
  if (!choice) throw new RangeError('a plan has at least one choice');
  return { detail: choiceText(choice), result: simulate(scenario, () => fixed(choice)) };
}

/**
 * The better of two runs that know the future: the best of each request by itself, and the best fixed cut. The first does
 * not see that what is worse for this request, as waking up the radio is, may be better for the next ones.
 */
function bestKnown(scenario: Scenario, hindsight: Outcome): Outcome {
  const greedy = simulate(scenario, oracle);
  return countedMeanMs(hindsight.result) < countedMeanMs(greedy) ? hindsight : { detail: null, result: greedy };
}

/** Over the requests that tables count; over all of a run that is shorter than the warm-up. */
function countedMeanMs({ records }: WorldResult): number {
  const settled = records.filter(({ index }) => index >= WARM_UP);
  const counted = settled.length > 0 ? settled : records;
  return counted.reduce((sum, record) => sum + latencyMs(record), 0) / counted.length;
}
