/** What flows over a chain's boundaries for the calibration samples: looked at many times, made once as far as memory allows. */
import { runSegment } from '../../shared/chain.ts';
import type { Plan } from '../../shared/plan.ts';
import type { Session } from '../../shared/runtime.ts';
import { type Tensors, tensorBytes } from '../../shared/tensor.ts';
import type { CompileRequest } from '../compile-request.ts';
import { inputCrossing, wholeOf } from './crossing.ts';

/** Of all boundaries together. */
const KEPT_BYTES_MAX = 256 * 2 ** 20;

/** Boundary k of each sample, one at a time; the same again each time it is asked for. */
export type Flows = (k: number) => AsyncIterable<Tensors>;

/** @param server the chain in full precision */
export function calibrationFlows(
  { recipe, calibrationSamples, seed }: Pick<CompileRequest, 'recipe' | 'calibrationSamples' | 'seed'>,
  plan: Plan,
  server: readonly Session[],
): Flows {
  return boundaryFlows(plan, server, async function* () {
    for await (const { input } of recipe.samples('calibration', calibrationSamples, seed, wholeOf(plan, server))) {
      yield inputCrossing(plan, input).tensors;
    }
  });
}

/**
 * @param inputs boundary 0 of each sample
 * @param server the chain in full precision
 */
export function boundaryFlows(
  plan: Plan,
  server: readonly Session[],
  inputs: () => AsyncIterable<Tensors>,
  bytesMax = KEPT_BYTES_MAX,
): Flows {
  const room = { bytes: bytesMax };
  const flows = [kept(inputs, room)];
  for (const [k, session] of server.entries()) {
    const before = flows[k] as () => AsyncIterable<Tensors>;
    flows.push(
      kept(async function* () {
        for await (const tensors of before()) yield await runSegment(plan, session, k, tensors);
      }, room),
    );
  }
  return (k) => (flows[k] as () => AsyncIterable<Tensors>)();
}

/** Keeps all or nothing: where what is kept would not be whole, it would be made again anyway. */
function kept(make: () => AsyncIterable<Tensors>, room: { bytes: number }): () => AsyncIterable<Tensors> {
  let whole: Tensors[] | undefined;
  return async function* () {
    if (whole) {
      yield* whole;
      return;
    }
    const own: Tensors[] = [];
    let bytes = 0;
    for await (const tensors of make()) {
      for (const tensor of Object.values(tensors)) bytes += tensorBytes(tensor).byteLength;
      if (bytes <= room.bytes) own.push(tensors);
      else own.length = 0;
      yield tensors;
    }
    // Boundaries before this one that were made on the way have taken their room by now.
    if (bytes > room.bytes || whole) return;
    whole = own;
    room.bytes -= bytes;
  };
}
