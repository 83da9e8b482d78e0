/** What arrives of a boundary on the other side, defended by noise, a tier's bits or both; without coding it where bytes do not matter. */
import { boundaryTensors } from '../../shared/chain.ts';
import type { BoundaryCodec, Crossing } from '../../shared/codec/boundary.ts';
import { addNoise, type Noise } from '../../shared/codec/noise.ts';
import { tensorDequantizer, tensorQuantizer } from '../../shared/codec/tensor-quantizer.ts';
import { boundaryAt, type Plan, type QuantizedTier, tierAt } from '../../shared/plan.ts';
import { asFloat32, float32, type Tensor, type Tensors } from '../../shared/tensor.ts';

/** One way to send a boundary. */
export interface Defence {
  readonly k: number;
  readonly tier: string;
  readonly noise: Noise | null;
}

export interface Sent {
  /** The boundary's tensors alone, as they are decoded. */
  readonly tensors: Tensors;
  /** On the wire; undefined where it was not coded. */
  readonly bytes: number | undefined;
}

export interface Sender {
  /**
   * @param isCoded whether bytes are asked for; what arrives is the same
   * @returns null where this host cannot make the tier's picture format
   */
  send(crossing: Crossing, defence: Defence, random: () => number, isCoded: boolean): Promise<Sent | null>;
}

export function newSender(plan: Plan, codec: BoundaryCodec): Sender {
  const shortcuts = new Map<string, (tensors: Tensors) => Tensors>();
  for (const [k, { tiers }] of plan.boundaries.entries()) {
    for (const tier of tiers) {
      if (tier.type === 'quantized') shortcuts.set(`${k}/${tier.name}`, quantizedAndBack(plan, k, tier));
    }
  }
  return {
    async send(crossing, { k, tier, noise }, random, isCoded) {
      const own = named(plan, k, boundaryTensors(plan, k, crossing.tensors));
      const tensors = noise ? noisy(own, noise, random) : own;
      const shortcut = shortcuts.get(`${k}/${tier}`);
      if (shortcut && !isCoded) return { tensors: shortcut(tensors), bytes: undefined };
      if (tierAt(plan, k, tier).type === 'raw' && !isCoded) return { tensors, bytes: undefined };
      const payload = await codec.encode({ ...crossing, k, tensors }, tier);
      if (!payload) return null;
      const bytes = payload.parts.reduce((sum, part) => sum + part.byteLength, 0);
      return { tensors: (await codec.decode(k, tier, payload)).tensors, bytes };
    },
  };
}

function named(plan: Plan, k: number, tensors: readonly Tensor[]): Tensors {
  return Object.fromEntries(boundaryAt(plan, k).tensors.map(({ name }, i) => [name, tensors[i] as Tensor]));
}

function noisy(tensors: Tensors, noise: Noise, random: () => number): Tensors {
  const changed = Object.entries(tensors).map(([name, tensor]) => {
    if (tensor.dtype !== 'float32') return [name, tensor] as const;
    return [name, float32(tensor.shape, addNoise(asFloat32(tensor), noise, random))] as const;
  });
  return Object.fromEntries(changed);
}

function quantizedAndBack(plan: Plan, k: number, { tensors: codings, bits }: QuantizedTier) {
  const specs = boundaryAt(plan, k).tensors;
  const ways = codings.map((coding, i) => {
    const spec = specs[i] as (typeof specs)[0];
    if (!coding) return null;
    const [quantize, dequantize] = [tensorQuantizer(coding, bits, spec), tensorDequantizer(coding, bits, spec)];
    return (values: Float32Array) => dequantize(quantize(values));
  });
  return (tensors: Tensors): Tensors => {
    const changed = specs.map(({ name }, i) => {
      const [tensor, thereAndBack] = [tensors[name] as Tensor, ways[i]];
      if (!thereAndBack) return [name, tensor] as const;
      return [name, float32(tensor.shape, thereAndBack(asFloat32(tensor)))] as const;
    });
    return Object.fromEntries(changed);
  };
}
