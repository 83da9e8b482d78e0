/** How one request asks the scheduler, from its input to its answer: what it remembers between boundaries, and what it leaves behind. */
import type { Choice } from './cost.ts';
import { type Constraints, type Decision, decide } from './decide.ts';
import type { Estimates } from './estimates.ts';
import { FASTEST } from './objective.ts';
import type { Snapshot } from './snapshot.ts';

/** What the request and its caller say; the rest is from before. */
export type Question = Omit<Constraints, 'previous' | 'explorationMs' | 'pursued'>;

export interface Asker {
  isHeldBack(nowMs: number): boolean;
  /** What would be done now. */
  ask(snapshot: Snapshot, question: Question): Decision;
  /** It is done. What was left free to the scheduler at first other requests may learn from. */
  take(decision: Decision, question: Question): void;
}

/** @param draw from 0 to 1: where it stands among the requests of its client, those beyond the client's share being held back */
export function askerOf(estimates: Estimates, draw: number): Asker {
  let taken: Decision | null = null;
  /** What is tried to find out whether it is better than it looks. */
  let pursued: Choice | null = null;
  return {
    isHeldBack: (nowMs) => draw >= estimates.shareAt(nowMs),
    ask(snapshot, question) {
      const { explorationMs, previous } = estimates.current;
      return decide(snapshot, {
        ...question,
        ...{ pursued, explorationMs: taken ? 0 : explorationMs },
        // Behind the first boundary the request keeps to its own choice, unless something better has come up.
        previous: taken?.chosen ?? previous,
      });
    },
    take(decision, { force, prefer, objective = FASTEST }) {
      if (!taken && !force && !prefer) estimates.decided(decision, objective.exploration);
      taken = decision;
      pursued = decision.by === 'explored' ? decision.chosen : null;
    },
  };
}
