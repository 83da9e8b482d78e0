/** Schedulers that look at nothing: all on the device, all on the server, one (k, tier) throughout. */
import { depthOf, tierKey } from '../../shared/plan.ts';
import { type Choice, choiceText } from '../choices.ts';
import { PlanCosts } from '../costs.ts';
import type { Known } from '../known.ts';
import type { Scheduler } from './scheduler.ts';

export function fixed(choice: Choice, name = choiceText(choice)): Scheduler {
  return { name, decide: () => choice };
}

export function alwaysLocal({ plan }: Known): Scheduler {
  return fixed({ k: depthOf(plan), tier: null }, 'local');
}

/** Sends the shallowest boundary that may be sent. */
export function alwaysRemote(known: Known): Scheduler {
  return fixed(remoteChoice(known), 'remote');
}

/** What tiers of one boundary are compared at: 5 Mbit/s. */
const MS_PER_BYTE = 1 / 625;

/** Of the shallowest boundary that may be sent, the tier that takes least. */
function remoteChoice({ plan, target, choices }: Known): Choice {
  const { tails } = new PlanCosts(plan, target, choices, { encodePerDecode: 1 }).at(plan.size.typical);
  const msOf = ({ k, tier }: Choice) => {
    const tail = tier === null ? undefined : tails.get(tierKey(k, tier));
    return tail ? tail.encodeMs + tail.bytesUp * MS_PER_BYTE + tail.decodeMs : Number.POSITIVE_INFINITY;
  };
  const shallowest = choices.filter(({ k }) => k === choices[0]?.k);
  return shallowest.reduce((best, choice) => (msOf(choice) < msOf(best) ? choice : best));
}
