/** What the device does of one request: each step ends with the request, stands in its account, and teaches the estimates. */
import type { Crossing, Payload } from '../shared/codec/boundary.ts';
import type { Noise } from '../shared/codec/noise.ts';
import { hasCode, messageOf, TandemError } from '../shared/errors.ts';
import { depthOf } from '../shared/plan.ts';
import { promises } from '../shared/policy/noises.ts';
import type { Picture } from '../shared/preprocess/resize.ts';
import type { Tensors } from '../shared/tensor.ts';
import { orAborted } from './or-aborted.ts';
import type { RequestContext } from './request-context.ts';
import type { Trail } from './trail.ts';

export interface DeviceSteps {
  /** Why it can do no more of this request; null while it can. */
  readonly error: TandemError | null;
  /** The picture at boundary 0; undefined after noting why the device could not. Rejects with BAD_INPUT. */
  begin(picture: Picture): Promise<Crossing | undefined>;
  /** One segment on; undefined after noting why the device could not. */
  advance(crossing: Crossing): Promise<Crossing | undefined>;
  /** To the end; stops early, without settling, once `over` is aborted. Rejects with DEVICE_FAILED. */
  finish(crossing: Crossing, over: AbortSignal): Promise<Tensors>;
  /** A boundary in a tier, with the noise that policy asks for; null where the device cannot make the tier. */
  encode(crossing: Crossing, tier: string, noise: readonly Noise[]): Promise<Encoded | null>;
}

interface Encoded {
  readonly payload: Payload;
  /** What was added: at least what was asked for. */
  readonly noise: readonly Noise[];
}

/** @param signal aborted once the request is to end: what waits for the device rejects with its reason */
export function deviceSteps(
  { installation, estimates, host }: RequestContext,
  { timing, noisy }: Trail,
  signal: AbortSignal,
): DeviceSteps {
  const { device, plan } = installation;
  let failure: TandemError | null = null;

  const orNote = async <T>(what: string, work: Promise<T>): Promise<T | undefined> => {
    try {
      return await orAborted(work, signal);
    } catch (error) {
      signal.throwIfAborted();
      if (hasCode(error, 'BAD_INPUT')) throw error;
      failure = new TandemError('DEVICE_FAILED', `${what}: ${messageOf(error)}`, { cause: error });
      return undefined;
    }
  };

  const advance = async (crossing: Crossing) => {
    const { k, size } = crossing;
    const step = await orNote(`segment ${k + 1} failed`, device.advance(crossing));
    if (!step) return undefined;
    const { value, ms, replaced } = step;
    if (replaced) installation.runs(k, replaced);
    timing.deviceMs += ms;
    estimates.observeDevice(plan, device.target, size, k, k + 1, ms, host.clock.now());
    return value;
  };

  /** Drawn once, for every tier and however often it is sent: of copies whose noise differs the mean would be the tensor. */
  const withNoise = async (crossing: Crossing, noise: readonly Noise[]) => {
    const key = `${plan.id}/${crossing.k}`;
    const known = noise.length > 0 ? noisy.get(key) : { crossing, noise };
    if (known && promises(known.noise, noise)) return known;
    if ([...noisy.keys()].some((other) => !other.startsWith(plan.id))) {
      throw new TandemError('POLICY_DENIED', 'another plan has noise of its own');
    }
    // Where more is asked for than before, it comes on top of what may have left.
    const from = noisy.get(key)?.crossing ?? crossing;
    const { value, ms } = await orAborted(device.addNoise(from, noise), signal);
    timing.encodeMs += ms;
    const drawn = { crossing: value, noise };
    noisy.set(key, drawn);
    return drawn;
  };

  return {
    get error() {
      return failure;
    },
    async begin(picture) {
      const begun = await orNote('the picture could not be read', device.begin(picture));
      timing.preprocessMs += begun?.ms ?? 0;
      return begun?.value;
    },
    advance,
    async finish(crossing, over) {
      let reached = crossing;
      while (reached.k < depthOf(plan)) {
        const next = await advance(reached);
        if (over.aborted) return new Promise<never>(() => {});
        if (!next) throw failure;
        reached = next;
      }
      return reached.tensors;
    },
    async encode(crossing, tier, noise) {
      const drawn = await withNoise(crossing, noise);
      const { value: payload, ms } = await orAborted(device.encode(drawn.crossing, tier), signal);
      if (!payload) return null;
      timing.encodeMs += ms;
      estimates.observeEncode(crossing.k, tier, ms);
      return { payload, noise: drawn.noise };
    },
  };
}
