/** A decision made again from its record. */
import { TandemError } from '../errors.ts';
import type { Plan } from '../plan.ts';
import { type Decision, decide } from './decide.ts';
import type { DecisionRecord } from './record.ts';

/** @throws BAD_INPUT where the record is of another plan, or what was chosen then is not what would be chosen */
export function replay(record: DecisionRecord, plan: Plan): Decision {
  const decision = decideAgain(record, plan);
  const { chosen } = decision;
  if (chosen?.k !== record.chosen?.k || chosen?.tier !== record.chosen?.tier) {
    const name = (choice: DecisionRecord['chosen']) => (choice ? `k = ${choice.k} at ${choice.tier}` : 'nothing');
    const was = name(record.chosen);
    throw new TandemError('BAD_INPUT', `expected ${was} again, got ${name(chosen)}: another version made this record`);
  }
  return decision;
}

/** What would be chosen, whatever was. Throws BAD_INPUT where the record is of another plan. */
export function decideAgain(record: DecisionRecord, plan: Plan): Decision {
  if (record.plan !== plan.id) {
    throw new TandemError('BAD_INPUT', `expected a decision for the plan ${plan.id}, got one for ${record.plan}`);
  }
  return decide({ ...record.snapshot, plan }, record.constraints);
}

/** What of a decision is not as its record has it, to the last bit; nothing where it is made again. */
export function differences({ chosen, said }: DecisionRecord, again: Decision): Difference[] {
  const before: Record<string, unknown> = { ...figuresOf(chosen, said), ...said?.predicted };
  const now: Record<string, unknown> = {
    ...figuresOf(again.chosen, said && again.chosen && { by: again.by, score: again.chosen.score }),
    ...(said && again.chosen?.predicted),
  };
  const names = [...new Set([...Object.keys(before), ...Object.keys(now)])];
  return names.flatMap((name) =>
    before[name] === now[name] ? [] : [{ name, was: before[name] ?? null, is: now[name] ?? null }],
  );
}

export interface Difference {
  readonly name: string;
  readonly was: unknown;
  readonly is: unknown;
}

function figuresOf(chosen: DecisionRecord['chosen'], said: { by: string; score: number } | null | undefined) {
  const choice = chosen ? { k: chosen.k, tier: chosen.tier } : { k: 'nothing' };
  return said ? { ...choice, by: said.by, score: said.score } : choice;
}
