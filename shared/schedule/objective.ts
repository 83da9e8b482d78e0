/** What a choice is worth: its time, and whatever else the app says that it cares for, in milliseconds. */
import * as v from 'valibot';
import { amount, parseAs } from '../parse.ts';
import type { Predictor } from './cost.ts';

const weight = v.optional(amount, 0);
const share = (most: number) => v.pipe(v.number(), v.minValue(0), v.maxValue(most));

const ObjectiveSchema = v.strictObject({
  /** The time that counts: what is expected, or the quantile that a share of requests stays below, 0.5 to 0.99. */
  latency: v.optional(v.union([v.literal('mean'), v.pipe(v.number(), v.minValue(0.5), v.maxValue(0.99))]), 'mean'),
  /** Milliseconds that one is worth: a joule of the battery, a kilobyte sent, a request that the gateway serves. */
  msPerJoule: weight,
  msPerKilobyte: weight,
  msPerOffload: weight,
  /** Milliseconds that a point (0.01) of the plan's first metric is worth. */
  msPerPoint: weight,
  /** How sure a choice must be to meet the request's deadline, where any is. */
  deadlineProbability: v.optional(share(0.999), 0.9),
  /** How much better another choice must look than the one before it, as a share: choices that are as good do not alternate. */
  hysteresis: v.optional(share(0.5), 0.01),
  /** Share of all time that may be spent on finding out what else would do; 0 turns that off. */
  exploration: v.optional(share(0.2), 0.006),
});

export type Objective = v.InferOutput<typeof ObjectiveSchema>;
/** As people write it: everything may be left out. */
export type ObjectiveInput = v.InferInput<typeof ObjectiveSchema>;

/** Throws BAD_CONFIG. */
export function parseObjective(value: unknown, what: string): Objective {
  return parseAs(ObjectiveSchema, value, 'BAD_CONFIG', what);
}

export const FASTEST: Objective = v.parse(ObjectiveSchema, {});

/** Of the last row of a predictor: milliseconds, the fewer the better. `accuracyLost` in the metric's unit. */
export function scoreOf(objective: Objective, predictor: Predictor, accuracyLost: number | null): number {
  const { latency, msPerJoule, msPerKilobyte, msPerOffload, msPerPoint } = objective;
  const timeMs = latency === 'mean' ? predictor.totalMs : predictor.quantileMs(normalQuantile(latency));
  return (
    timeMs +
    msPerJoule * predictor.joules +
    msPerKilobyte * (predictor.bytes / 1000) +
    (predictor.bytes > 0 ? msPerOffload : 0) +
    msPerPoint * 100 * Math.max(0, accuracyLost ?? 0)
  );
}

/** For p from 0.5 to 0.99; within 4.5e-4 (Abramowitz and Stegun, 26.2.23). */
function normalQuantile(p: number): number {
  const t = Math.sqrt(-2 * Math.log(1 - p));
  const above = 2.515517 + t * (0.802853 + t * 0.010328);
  const below = 1 + t * (1.432788 + t * (0.189269 + t * 0.001308));
  return Math.max(0, t - above / below);
}
