/** A decision made again from its record. */
import { TandemError } from '../errors.ts';
import type { Plan } from '../plan.ts';
import { type Decision, decide } from './decide.ts';
import type { DecisionRecord } from './record.ts';

/** @throws BAD_INPUT where the record is of another plan, or what was chosen then is not what would be chosen */
export function replay(record: DecisionRecord, plan: Plan): Decision {
  if (record.plan !== plan.id) {
    throw new TandemError('BAD_INPUT', `expected a decision for the plan ${plan.id}, got one for ${record.plan}`);
  }
  const decision = decide({ ...record.snapshot, plan }, record.constraints);
  const { chosen } = decision;
  if (chosen?.k !== record.chosen?.k || chosen?.tier !== record.chosen?.tier) {
    const name = (choice: DecisionRecord['chosen']) => (choice ? `k = ${choice.k} at ${choice.tier}` : 'nothing');
    const was = name(record.chosen);
    throw new TandemError('BAD_INPUT', `expected ${was} again, got ${name(chosen)}: another version made this record`);
  }
  return decision;
}
