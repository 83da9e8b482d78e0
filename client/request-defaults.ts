/** What holds where an app says nothing else. */

/** Of the plan's first metric, against the whole model. */
export const ACCURACY_DROP_MAX_DEFAULT = 0.02;
export const DEADLINE_MS_DEFAULT = 30_000;
