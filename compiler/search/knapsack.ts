/** The multiple-choice knapsack: one option of every item, at the least cost, losing no more than a budget allows. */

export interface Option {
  /** What is to be as little as possible; may be below 0. */
  readonly cost: number;
  /** 0 or more; losses of items add up. */
  readonly loss: number;
}

/** Steps that the budget is divided into. Losses are rounded up to steps, so that no choice passes the budget. */
const STEPS = 4096;

/**
 * @returns the index of the option taken of each item, or null where no choice keeps within the budget. Of equal
 *   choices the one with options that come first: the result depends on nothing else.
 */
export function chooseOptions(items: readonly (readonly Option[])[], lossMax: number): number[] | null {
  const stepsOf = (loss: number) => (loss <= 0 ? 0 : lossMax <= 0 ? STEPS + 1 : Math.ceil((loss / lossMax) * STEPS));
  /** Least cost of the items so far, by steps that they may use. */
  let best = new Float64Array(STEPS + 1);
  const taken: Uint8Array[] = [];
  for (const options of items) {
    const next = new Float64Array(STEPS + 1).fill(Number.POSITIVE_INFINITY);
    const choice = new Uint8Array(STEPS + 1);
    for (const [index, { cost, loss }] of options.entries()) {
      for (let steps = stepsOf(loss), used = 0; steps <= STEPS; steps++, used++) {
        const sum = (best[used] as number) + cost;
        if (sum < (next[steps] as number)) {
          next[steps] = sum;
          choice[steps] = index;
        }
      }
    }
    best = next;
    taken.push(choice);
  }
  if (best[STEPS] === Number.POSITIVE_INFINITY) return null;
  let steps = STEPS;
  const result: number[] = [];
  for (let i = items.length - 1; i >= 0; i--) {
    const index = taken[i]?.[steps] as number;
    result[i] = index;
    steps -= stepsOf((items[i] as Option[])[index]?.loss ?? 0);
  }
  return result;
}
