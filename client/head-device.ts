/**
 * What answers first requests before there is a worker: it makes pictures ready to be sent, in the page's thread, and runs
 * nothing. On a slow network the worker's script would take as long as all the rest of a first answer.
 */
import type { Clock } from '../shared/clock.ts';
import { encodePicture, pictureCrossing } from '../shared/codec/boundary.ts';
import type { PictureEncoder } from '../shared/codec/picture.ts';
import { TandemError } from '../shared/errors.ts';
import { boundaryAt, type Plan, tierAt } from '../shared/plan.ts';
import type { Device, Timed } from './device.ts';

/** Null for a model of which no picture is sent. */
export function headDevice(plan: Plan, target: string, pictures: PictureEncoder, clock: Clock): Device | null {
  if (!plan.preprocess || !boundaryAt(plan, 0).tiers.some(({ type }) => type === 'picture')) return null;
  const timed = async <T>(work: () => T | Promise<T>): Promise<Timed<T>> => {
    const startMs = clock.now();
    return { value: await work(), ms: clock.now() - startMs };
  };
  const refuse = async () => {
    throw new TandemError('DEVICE_FAILED', 'there is no worker yet');
  };
  return {
    target,
    // What it cannot make it says when it is asked.
    prepare: async () => [],
    load: refuse,
    advance: refuse,
    addNoise: refuse,
    begin: (picture) => timed(() => pictureCrossing(plan, picture)),
    encode: (crossing, name) =>
      timed(async () => {
        const tier = tierAt(plan, crossing.k, name);
        return tier.type === 'picture' && crossing.picture ? encodePicture(crossing, tier, pictures) : null;
      }),
    close: async () => {},
  };
}
