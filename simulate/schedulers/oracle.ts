/** Knows what every choice will take, the future included, and takes the best of each request by itself. */
import type { Scheduler } from './scheduler.ts';

export function oracle(): Scheduler {
  return { name: 'oracle', decide: (situation) => situation.foresee().choice };
}
