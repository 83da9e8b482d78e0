/** How far things may be from what they should be: what choosing cuts and verifying bundles go by. */

export interface Tolerances {
  /** How much worse the model's first metric may become by what a boundary is sent with, when cuts are chosen. */
  readonly accuracyDropMax: number;
  /**
   * Relative error that counts as equal in full precision: the norm of the difference over the norm of the whole model's
   * tensor, worst sample. Simplifying rounds differently, and a softmax turns a last bit in its input into up to 1e-4 in
   * a single undecided score; the norm is what such a score does not sway.
   */
  readonly floatErrorMax: number;
  /** A single value may be off by this much of its tensor's largest one: it guards what a norm could hide. */
  readonly floatLargestErrorMax: number;
  /**
   * How far compressed boundaries may be from the whole model's, as a multiple of what the plan says was measured: other
   * samples and another machine's rounding move the worst sample this much, a wrong file or recipe moves it further.
   */
  readonly compressedErrorGrowthMax: number;
  /** Where the plan was never measured. A wrong file is off by 1 or more. */
  readonly compressedErrorMax: number;
  /** Share of samples whose answer may change with the compressed head. */
  readonly answersChangedMax: number;
}

export const DEFAULT_TOLERANCES: Tolerances = {
  // Two points, as the scheduler's default.
  accuracyDropMax: 0.02,
  ...{ floatErrorMax: 1e-4, floatLargestErrorMax: 1e-3 },
  ...{ compressedErrorGrowthMax: 1.5, compressedErrorMax: 0.5, answersChangedMax: 0.25 },
};

export type GivenTolerances = { readonly [Name in keyof Tolerances]?: Tolerances[Name] | undefined };

/** What is not given is as by default. */
export function tolerancesOf(given: GivenTolerances = {}): Tolerances {
  const said = Object.entries(given).filter(([, value]) => value !== undefined);
  return { ...DEFAULT_TOLERANCES, ...Object.fromEntries(said) };
}
