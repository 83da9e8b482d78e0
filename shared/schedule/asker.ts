/** How one request asks the scheduler, from its input to its answer: what it remembers between boundaries, and what it leaves behind. */
import type { Choice } from './cost.ts';
import { type Constraints, type Decision, decide } from './decide.ts';
import type { Estimates } from './estimates.ts';
import { FASTEST } from './objective.ts';
import type { Snapshot } from './snapshot.ts';

/** What the request and its caller say; the rest is from before. */
export type Question = Omit<Constraints, 'previous' | 'explorationMs' | 'pursued'>;

export class Asker {
  private taken: Decision | null = null;
  /** What is tried to find out whether it is better than it looks. */
  private pursued: Choice | null = null;
  private readonly estimates: Estimates;
  private readonly draw: number;

  /** @param draw from 0 to 1: where it stands among the requests of its client, those beyond the client's share being held back */
  constructor(estimates: Estimates, draw: number) {
    this.estimates = estimates;
    this.draw = draw;
  }

  isHeldBack(nowMs: number): boolean {
    return this.draw >= this.estimates.shareAt(nowMs);
  }

  /** What would be done now. */
  ask(snapshot: Snapshot, question: Question): Decision {
    const { explorationMs, previous } = this.estimates.current;
    const { taken, pursued } = this;
    return decide(snapshot, {
      ...question,
      ...{ pursued, explorationMs: taken ? 0 : explorationMs },
      // Behind the first boundary the request keeps to its own choice, unless something better has come up.
      previous: taken?.chosen ?? previous,
    });
  }

  /** It is done. What was left free to the scheduler at first other requests may learn from. */
  take(decision: Decision, { force, prefer, objective = FASTEST }: Question): void {
    if (!this.taken && !force && !prefer) this.estimates.decided(decision, objective.exploration);
    this.taken = decision;
    this.pursued = decision.by === 'explored' ? decision.chosen : null;
  }
}
