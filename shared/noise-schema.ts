/** Noise as policies ask for it, receipts repeat it and plans were measured with it. What it does is codec/noise.ts. */
import * as v from 'valibot';

/** More noise than this says nothing any more. */
const SCALE_MAX = 100;
const multiple = v.pipe(v.number(), v.gtValue(0), v.maxValue(SCALE_MAX));

export const NOISE = {
  type: v.picklist(['gaussian', 'laplace', 'dropout']),
  /** Deviation in multiples of the tensor's root mean square; of dropout the share of values that become 0. */
  scale: multiple,
  clip: v.optional(multiple),
};
