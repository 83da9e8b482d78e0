/** The device's side of the work: preprocess, run segments, encode. Behind one interface, in this thread or a worker. */
import { runSegment } from '../shared/chain.ts';
import type { Clock } from '../shared/clock.ts';
import { boundaryEncoder, type Crossing, type Payload, pictureCrossing } from '../shared/codec/boundary.ts';
import type { Noise } from '../shared/codec/noise.ts';
import type { PictureEncoder } from '../shared/codec/picture.ts';
import { unpackModel } from '../shared/codec/weights.ts';
import { TandemError } from '../shared/errors.ts';
import { boundaryAt, type Plan } from '../shared/plan.ts';
import type { Picture } from '../shared/preprocess/resize.ts';
import type { Random } from '../shared/random.ts';
import type { Runtime } from '../shared/runtime.ts';
import { oneAtATime } from '../shared/turns.ts';
import { withNoise } from './noise.ts';
import { type Chosen, type Provider, providersFor } from './providers.ts';

export interface Timed<T> {
  readonly value: T;
  /** Milliseconds that the work itself took, without waiting for its turn. */
  readonly ms: number;
}

export interface LoadedSegment {
  /** What runs it: an engine, and what it computes on. */
  readonly provider: string;
  /** What was tried so far and is not used, and why. */
  readonly demoted: readonly string[];
}

export interface Advanced extends Timed<Crossing> {
  /** Where something else runs segment k+1 from now on than was said when it was loaded. */
  readonly replaced?: LoadedSegment | undefined;
}

export interface Device {
  /** Key of `segments[].targets` whose files it runs. */
  readonly target: string;
  /** Warms the picture encoders up. Gives the tiers of boundary 0 that this device cannot make. */
  prepare(): Promise<readonly string[]>;
  /** Hands over what the host's `runtimeFile` is, before the first segment. Gives its SHA-256 in lower-case hex. */
  provide?(runtime: Uint8Array): Promise<string>;
  /**
   * Makes segment k+1 runnable and warm. Segments come in chain order, as their files are.
   * @returns what runs it, and the time of one warm run at the smallest size
   */
  load(k: number, model: Uint8Array): Promise<Timed<LoadedSegment>>;
  /** Boundary 0 of a picture. Throws BAD_INPUT. */
  begin(picture: Picture): Promise<Timed<Crossing>>;
  /** Boundary k -> k+1. What fails on one provider runs on another, where there is one. */
  advance(crossing: Crossing): Promise<Advanced>;
  /** A copy of the crossing with noise, of numbers that are drawn for it. */
  addNoise(crossing: Crossing, noise: readonly Noise[]): Promise<Timed<Crossing>>;
  /** `value` is null where this device cannot make the tier's format. */
  encode(crossing: Crossing, tier: string): Promise<Timed<Payload | null>>;
  close(): Promise<void>;
}

/** What a device is made for and of. */
export interface DeviceParts {
  readonly plan: Plan;
  readonly target: string;
  /** What is trusted to be right. */
  readonly runtime: Runtime;
  /** What may be faster, or may be wrong: tried on each segment. */
  readonly others?: readonly Provider[] | undefined;
  readonly pictures: PictureEncoder;
  readonly clock: Clock;
  /** What noise is made of: cryptographically secure where it is to protect somebody. */
  readonly random: Random;
}

interface Segment extends Pick<Chosen, 'session' | 'provider'> {
  /** To load it anew; null where what runs it is the last that can. */
  readonly model: Uint8Array | null;
  /** What takes its place, once it has failed. */
  replacement: Promise<LoadedSegment> | null;
}

/** A device in this thread. */
export function localDevice({ plan, target, runtime, others = [], pictures, clock, random }: DeviceParts): Device {
  const codec = boundaryEncoder(plan, pictures);
  const segments: Segment[] = [];
  let isClosed = false;
  const inTurn = oneAtATime();
  /** Timed from when its turn comes, so that `ms` is the work's own. */
  const timed = <T>(work: () => T | Promise<T>): Promise<Timed<T>> =>
    inTurn(async () => {
      const start = clock.now();
      const value = await work();
      return { value, ms: clock.now() - start };
    });
  const trusted = { name: runtime.name, runtime, takesIntegers: true };
  const providers = providersFor(plan, target, timed, [trusted, ...others]);
  const load = async (k: number, model: Uint8Array): Promise<Timed<LoadedSegment>> => {
    const { provider, session, ms } = await providers.choose(k, unpackModel(model));
    if (isClosed) {
      await session.release();
      throw new TandemError('DEVICE_FAILED', 'the device was closed');
    }
    segments[k] = { session, provider, model: provider === trusted.name ? null : model, replacement: null };
    return { value: { provider, demoted: providers.demoted }, ms };
  };
  const advance = ({ k, size, tensors }: Crossing): Promise<Timed<Crossing>> =>
    timed(async () => {
      const session = segments[k]?.session;
      if (!session) throw new TandemError('DEVICE_FAILED', `segment ${k + 1} is not loaded`);
      return { k: k + 1, size, tensors: await runSegment(plan, session, k, tensors), picture: null };
    });
  const replace = async (k: number, segment: Segment, model: Uint8Array, error: unknown) => {
    try {
      providers.failed(segment.provider, k, error);
      const { value } = await load(k, model);
      // What is lost may not even be let go.
      await segment.session.release().catch(() => {});
      return value;
    } catch (cause) {
      segment.replacement = null;
      throw cause;
    }
  };
  return {
    target,
    async prepare() {
      const missing: string[] = [];
      const { preprocess, size } = plan;
      if (!preprocess) return missing;
      const { height } = preprocess;
      const data = new Uint8Array(size.min * height * 4);
      const blank = pictureCrossing(plan, { width: size.min, height, data });
      for (const { type, name } of boundaryAt(plan, 0).tiers) {
        if (type === 'picture' && !(await codec.encode(blank, name))) missing.push(name);
      }
      return missing;
    },
    load,
    begin: (picture) => timed(() => pictureCrossing(plan, picture)),
    async advance(crossing) {
      const { k } = crossing;
      const segment = segments[k];
      try {
        return await advance(crossing);
      } catch (error) {
        if (!segment?.model) throw error;
        // A graphics adapter that is lost does not come back. Requests that find out together wait for one and the same.
        segment.replacement ??= replace(k, segment, segment.model, error);
        const replaced = await segment.replacement;
        return { ...(await advance(crossing)), replaced };
      }
    },
    addNoise: (crossing, noise) => timed(() => withNoise(plan, crossing, noise, random)),
    encode: (crossing, tier) => timed(() => codec.encode(crossing, tier)),
    async close() {
      isClosed = true;
      await inTurn(() => Promise.all(segments.splice(0).map(({ session }) => session.release())));
    },
  };
}
