/** A boundary <-> the payload of a frame, at any tier: one door for the device, the server and the compiler. */
import { boundaryTensors } from '../chain.ts';
import { messageOf, TandemError } from '../errors.ts';
import { ownValue } from '../own-value.ts';
import {
  boundaryAt,
  type PictureTier,
  type Plan,
  type QuantizedTier,
  type TensorSpec,
  type Tier,
  tierAt,
  tierKey,
} from '../plan.ts';
import { assertPixels } from '../preprocess/assert-pixels.ts';
import { fitPicture, pictureShape } from '../preprocess/picture.ts';
import { pictureTensor } from '../preprocess/picture-tensor.ts';
import type { Picture } from '../preprocess/resize.ts';
import { sizeOf } from '../size-of.ts';
import { elementCount, holdsDType, type Tensor, type Tensors, tensorBytes } from '../tensor.ts';
import { activationDecoder, activationEncoder, codedGeometry, rawTensor } from './activation.ts';
import { packedBytes } from './pack.ts';
import type { PictureCodec, PictureDecoder, PictureEncoder } from './picture.ts';

/** Where a request is: boundary k, with everything that would have to cross it. */
export interface Crossing {
  readonly k: number;
  /** Value of the plan's size variable. */
  readonly size: number;
  /** Boundary k's tensors by name. */
  readonly tensors: Tensors;
  /** The picture at the model's resolution that boundary 0 was made of; null once k > 0. */
  readonly picture: Picture | null;
}

export interface Payload {
  readonly parts: readonly Uint8Array[];
  /** Shapes of the boundary's tensors in its order. */
  readonly shapes: readonly (readonly number[])[];
}

export interface BoundaryEncoder {
  /** Gives null where this host cannot make the tier's picture format. Throws UNKNOWN_TIER. */
  encode(crossing: Crossing, tier: string): Promise<Payload | null>;
}

export interface BoundaryDecoder {
  /** Throws BAD_BOUNDARY, UNKNOWN_TIER, BAD_TENSOR or BAD_PAYLOAD. */
  decode(k: number, tier: string, payload: Payload): Promise<Crossing>;
}

export interface BoundaryCodec extends BoundaryEncoder, BoundaryDecoder {}

/** Throws BAD_PLAN where a tier's tables do not fit its boundary: at once, not when the first message comes. */
export function boundaryEncoder(plan: Plan, pictures: PictureEncoder): BoundaryEncoder {
  const activationsAt = byTier(plan, activationEncoder);
  return {
    async encode(crossing, name) {
      const { k } = crossing;
      const tier = tierAt(plan, k, name);
      if (tier.type === 'picture') return encodePicture(crossing, tier, pictures);
      const tensors = boundaryTensors(plan, k, crossing.tensors);
      const shapes = tensors.map(({ shape }) => shape);
      return { parts: tier.type === 'raw' ? tensors.map(tensorBytes) : activationsAt(k, name).encode(tensors), shapes };
    },
  };
}

/** Throws likewise. */
export function boundaryDecoder(plan: Plan, pictures: PictureDecoder): BoundaryDecoder {
  const activationsAt = byTier(plan, activationDecoder);
  return {
    async decode(k, name, { parts, shapes }) {
      const tier = tierAt(plan, k, name);
      const size = checkShapes(plan, k, shapes);
      const specs = boundaryAt(plan, k).tensors;
      if (parts.length !== specs.length) {
        throw new TandemError('BAD_PAYLOAD', `boundary ${k} has ${specs.length} parts, got ${parts.length}`);
      }
      if (tier.type === 'picture') return decodePicture(plan, pictures, tier, parts[0] as Uint8Array, size);
      const tensors =
        tier.type === 'raw'
          ? specs.map((spec, i) => rawTensor(spec.name, spec.dtype, shapes[i] as number[], parts[i] as Uint8Array))
          : activationsAt(k, name).decode(parts, shapes);
      const named = specs.map(({ name: tensorName }, i) => [tensorName, tensors[i]]);
      return { k, size, tensors: Object.fromEntries(named), picture: null };
    },
  };
}

/** Both, for who sends and receives. */
export function boundaryCodec(plan: Plan, pictures: PictureCodec): BoundaryCodec {
  return { ...boundaryEncoder(plan, pictures), ...boundaryDecoder(plan, pictures) };
}

/** What is made of each quantized tier. */
function byTier<T>(plan: Plan, make: (tier: QuantizedTier, specs: readonly TensorSpec[]) => T) {
  const made = new Map<string, T>();
  for (const [k, { tensors, tiers }] of plan.boundaries.entries()) {
    for (const tier of tiers) if (tier.type === 'quantized') made.set(tierKey(k, tier.name), make(tier, tensors));
  }
  return (k: number, name: string) => made.get(tierKey(k, name)) as T;
}

/** Boundary 0 of tensors that the caller made. Throws BAD_INPUT naming what is missing or of the wrong shape. */
export function tensorCrossing(plan: Plan, tensors: Tensors): Crossing {
  let size = plan.size.typical;
  for (const spec of boundaryAt(plan, 0).tensors) {
    const tensor = ownValue(tensors, spec.name);
    if (!isTensor(tensor) || tensor.dtype !== spec.dtype || !holdsDType(tensor)) {
      const got = tensor ? `dtype ${tensor.dtype}` : `only ${Object.keys(tensors).join(', ') || 'nothing'}`;
      throw new TandemError(
        'BAD_INPUT',
        `expected { ${spec.name}: { dtype: '${spec.dtype}', shape, data } } with as much data as the shape says, got ${got}`,
      );
    }
    try {
      size = sizeOf(spec, tensor.shape, plan.size) ?? size;
    } catch (error) {
      throw new TandemError('BAD_INPUT', messageOf(error), { cause: error });
    }
  }
  return { k: 0, size, tensors, picture: null };
}

function isTensor(tensor: Tensor | undefined): tensor is Tensor {
  return Array.isArray(tensor?.shape) && tensor.data?.length === elementCount(tensor.shape);
}

/** As a codec's `encode`, for who needs no other tiers. The tensor is not looked at. */
export async function encodePicture(
  { picture }: Pick<Crossing, 'picture'>,
  { name, format, quality }: PictureTier,
  pictures: PictureEncoder,
): Promise<Payload | null> {
  if (!picture) throw new TandemError('BAD_INPUT', `tier ${name} needs a picture, the input was a tensor`);
  const bytes = await pictures.encode(picture, format, quality);
  return bytes && { parts: [bytes], shapes: [pictureShape(picture)] };
}

/** Boundary 0 of a picture: fitted to the model's resolution; the tensor is made when it is first asked for. */
export function pictureCrossing(plan: Plan, picture: Picture): Crossing {
  const { preprocess } = plan;
  if (!preprocess) throw new TandemError('BAD_INPUT', `${plan.name} takes tensors, not pictures`);
  assertPixels(picture);
  const fitted = fitPicture(picture, preprocess, plan.size);
  let tensors: Tensors | undefined;
  return {
    ...{ k: 0, size: fitted.width, picture: fitted },
    get tensors() {
      tensors ??= tensorsOf(plan, fitted);
      return tensors;
    },
  };
}

/** Boundary 0 of a picture that is at the model's resolution already. */
function tensorsOf(plan: Plan, picture: Picture): Tensors {
  const steps = plan.preprocess as NonNullable<Plan['preprocess']>;
  return { [boundaryAt(plan, 0).tensors[0]?.name ?? '']: pictureTensor(picture, steps) };
}

async function decodePicture(
  plan: Plan,
  pictures: PictureDecoder,
  tier: PictureTier,
  bytes: Uint8Array,
  width: number,
): Promise<Crossing> {
  const height = plan.preprocess?.height ?? 0;
  const picture = await pictures.decode(bytes, tier.format, { width, height });
  if (picture.width !== width || picture.height !== height) {
    throw new TandemError(
      'BAD_PAYLOAD',
      `expected ${width} x ${height} pixels, got ${picture.width} x ${picture.height}`,
    );
  }
  return { k: 0, size: width, tensors: tensorsOf(plan, picture), picture };
}

/**
 * The most bytes that any part of a boundary's payload can have at a tier: what our own encoders never pass.
 * @param shapes checked already
 */
export function partBytesMax(tier: Tier, shapes: readonly (readonly number[])[]): number {
  const elements = Math.max(0, ...shapes.map(elementCount));
  if (tier.type === 'raw') return elements * RAW_ELEMENT_BYTES_MAX;
  if (tier.type === 'quantized') {
    const bytes = shapes.map((shape, i) => {
      const coding = tier.tensors[i];
      if (!coding) return elementCount(shape) * RAW_ELEMENT_BYTES_MAX;
      const { channels, rows, columns } = codedGeometry(shape, coding);
      return 1 + packedBytes(channels * rows * columns, tier.bits);
    });
    return Math.max(0, ...bytes);
  }
  // An element is one byte of a raw picture; formats add a header, and expand noise a little.
  return 4096 + 2 * elements;
}

/** float64 and int64. */
const RAW_ELEMENT_BYTES_MAX = 8;

/** The one size that all shapes agree on. Throws BAD_TENSOR. */
export function checkShapes(plan: Plan, k: number, shapes: readonly (readonly number[])[]): number {
  const specs = boundaryAt(plan, k).tensors;
  if (shapes.length !== specs.length) {
    throw new TandemError('BAD_TENSOR', `boundary ${k} has ${specs.length} tensors, got ${shapes.length}`);
  }
  const found = specs.map((spec, i) => sizeOf(spec, shapes[i] as readonly number[], plan.size));
  const sizes = found.filter((size) => size !== undefined);
  const [size = plan.size.typical] = sizes;
  if (sizes.some((other) => other !== size)) {
    throw new TandemError('BAD_TENSOR', `the tensors of boundary ${k} disagree on ${plan.size.name}: ${sizes}`);
  }
  return size;
}
