/** A log of decisions, a record a line, and what comes of making them again. */
import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { TandemError } from '../shared/errors.ts';
import { type Plan, planHead } from '../shared/plan.ts';
import type { Decision } from '../shared/schedule/decide.ts';
import { parseRecord } from '../shared/schedule/read-record.ts';
import type { DecisionRecord } from '../shared/schedule/record.ts';
import { type Difference, decideAgain, differences } from '../shared/schedule/replay.ts';
import { unreadable } from './unreadable.ts';

export interface Replayed {
  /** In the log, from 1. */
  readonly line: number;
  readonly plan: Plan;
  readonly record: DecisionRecord;
  readonly again: Decision;
  /** Empty where the decision was made again, bit by bit. */
  readonly differences: readonly Difference[];
}

/**
 * Every decision of a log, in its order.
 * @throws NOT_FOUND for a log that cannot be read; BAD_INPUT with the line of what is no record, or is of none of the plans, and
 *   for a log without any
 */
export async function* replayLog(path: string, plans: readonly Plan[]): AsyncGenerator<Replayed, void, undefined> {
  let line = 0;
  let isEmpty = true;
  for await (const text of linesOf(path)) {
    line++;
    if (text.trim() === '') continue;
    isEmpty = false;
    const what = `${path}, line ${line}`;
    const record = parseRecord(text, what);
    const plan = plans.find(({ id }) => id === record.plan);
    if (!plan) {
      const known = plans.map(({ id }) => id).join(', ');
      throw new TandemError(
        'BAD_INPUT',
        `${what}: expected a decision for the plan ${known}, got one for ${record.plan}`,
      );
    }
    const replayed = (version: Plan) => {
      const again = decideAgain(record, version);
      return { line, plan, record, again, differences: differences(record, again) };
    };
    const whole = replayed(plan);
    // A plan's head has the id of the whole: browsers decide by it at first, and a record does not say by which of the two.
    const head = whole.differences.length > 0 ? replayed(planHead(plan)) : whole;
    yield head.differences.length === 0 ? head : whole;
  }
  if (isEmpty) throw new TandemError('BAD_INPUT', `${path}: there is no decision in this log`);
}

async function* linesOf(path: string): AsyncGenerator<string, void, undefined> {
  const stream = createReadStream(path, 'utf8');
  try {
    yield* createInterface({ input: stream, crlfDelay: Number.POSITIVE_INFINITY });
  } catch (error) {
    unreadable(path)(error);
  } finally {
    stream.destroy();
  }
}
