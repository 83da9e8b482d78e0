/**
 * What the link does to a message: ms = roundTripMs + msPerByte * bytes, both learnt at once from every ping and every
 * request by least squares with forgetting. Messages of different sizes are what tells latency from bandwidth; where
 * all were of one size the prior decides, and the prediction for that size is right all the same.
 */

/** Weighted sums over observations (x = bytes, y = ms). Plain data, so that it can be kept and replayed. */
export interface LinkEstimate {
  readonly weight: number;
  readonly x: number;
  readonly y: number;
  readonly xx: number;
  readonly xy: number;
  /** What holds where nothing was seen. */
  readonly prior: LinkPrior;
}

export interface LinkPrior {
  readonly roundTripMs: number;
  readonly uplinkBytesPerS: number;
}

/** A middling LTE uplink. */
export const LINK_PRIOR: LinkPrior = { roundTripMs: 60, uplinkBytesPerS: 750_000 };

/** Share of the past that one new observation leaves standing. */
const MEMORY = 0.75;
/** The prior counts as this many observations, at two sizes a message may well have: it only breaks ties. */
const PRIOR_WEIGHT = 0.02;
const PRIOR_BYTES = [0, 20_000] as const;

export function newLink(prior: LinkPrior = LINK_PRIOR): LinkEstimate {
  return { weight: 0, x: 0, y: 0, xx: 0, xy: 0, prior };
}

/**
 * @param bytes what had to leave: the frame, and what was still waiting before it
 * @param ms from handing the frame over to having the reply, without the time that the server says it took
 */
export function observeTransfer(link: LinkEstimate, bytes: number, ms: number): LinkEstimate {
  return {
    ...link,
    weight: link.weight * MEMORY + 1,
    x: link.x * MEMORY + bytes,
    y: link.y * MEMORY + ms,
    xx: link.xx * MEMORY + bytes * bytes,
    xy: link.xy * MEMORY + bytes * ms,
  };
}

/** The fitted line. Neither term is ever negative. */
export function linkModel(link: LinkEstimate): { readonly roundTripMs: number; readonly msPerByte: number } {
  const { prior } = link;
  const priorMsPerByte = 1000 / prior.uplinkBytesPerS;
  let { weight, x, y, xx, xy } = link;
  for (const bytes of PRIOR_BYTES) {
    const ms = prior.roundTripMs + bytes * priorMsPerByte;
    weight += PRIOR_WEIGHT;
    x += PRIOR_WEIGHT * bytes;
    y += PRIOR_WEIGHT * ms;
    xx += PRIOR_WEIGHT * bytes * bytes;
    xy += PRIOR_WEIGHT * bytes * ms;
  }
  const slope = (weight * xy - x * y) / (weight * xx - x * x);
  if (slope <= 0) return { roundTripMs: Math.max(0, y / weight), msPerByte: 0 };
  const intercept = (y - slope * x) / weight;
  return intercept >= 0
    ? { roundTripMs: intercept, msPerByte: slope }
    : { roundTripMs: 0, msPerByte: Math.max(0, xy / xx) };
}
