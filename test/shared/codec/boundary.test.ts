import { describe, expect, test } from 'vitest';
import {
  type BoundaryCodec,
  boundaryCodec,
  type Crossing,
  checkShapes,
  type Payload,
  pictureCrossing,
} from '../../../shared/codec/boundary.ts';
import type { PictureCodec, PictureFormat } from '../../../shared/codec/picture.ts';
import { TandemError } from '../../../shared/errors.ts';
import type { Plan } from '../../../shared/plan.ts';
import type { Picture } from '../../../shared/preprocess/resize.ts';
import { seededRandom } from '../../../shared/random.ts';
import { shapeAt } from '../../../shared/size.ts';
import { asFloat32, elementCount, float32, type Tensor } from '../../../shared/tensor.ts';
import { samplePlan } from '../sample-plan.ts';
import { tandemError } from '../tandem-error.ts';

/** A format of its own: width, height, quality, then the pixels. Remembers what it was asked for. */
class RawPictures implements PictureCodec {
  readonly asked: { format: PictureFormat; quality: number }[] = [];

  async encode({ width, height, data }: Picture, format: PictureFormat, quality: number): Promise<Uint8Array | null> {
    this.asked.push({ format, quality });
    return Uint8Array.of(width, height, quality, ...data);
  }

  async decode(bytes: Uint8Array, _: PictureFormat, { width, height }: Pick<Picture, 'width' | 'height'>) {
    if (bytes[0] !== width || bytes[1] !== height) throw new TandemError('BAD_PAYLOAD', 'a picture of another size');
    return { width, height, data: bytes.slice(3) };
  }
}

const noPictures: PictureCodec = {
  encode: async () => null,
  decode: async () => {
    throw new TandemError('BAD_PAYLOAD', 'no picture');
  },
};

const plan = samplePlan();
const codec = boundaryCodec(plan, noPictures);

function noisyPicture(width: number, height: number): Picture {
  const random = seededRandom(3);
  const data = Uint8Array.from({ length: width * height * 4 }, (_, i) => (i % 4 === 3 ? 255 : random() * 256));
  return { width, height, data };
}

/** Boundary k's tensors at a size, filled from [-1, 1]. */
function tensorsAt(from: Plan, k: number, size: number): Record<string, Tensor> {
  const random = seededRandom(k);
  const made = (from.boundaries[k]?.tensors ?? []).map((spec) => {
    const shape = shapeAt(spec, size);
    const data = Float32Array.from({ length: elementCount(shape) }, () => 2 * random() - 1);
    return [spec.name, float32(shape, data)];
  });
  return Object.fromEntries(made);
}

/** What this host sends of a crossing; it can make every tier. */
async function encode(by: BoundaryCodec, crossing: Crossing, tier: string): Promise<Payload> {
  const payload = await by.encode(crossing, tier);
  if (!payload) throw new Error(`tier ${tier} was not made`);
  return payload;
}

describe('a picture tier', () => {
  test('carries the fitted picture, and the far side makes the same tensor of it', async () => {
    const pictures = new RawPictures();
    const both = boundaryCodec(plan, pictures);
    const crossing = pictureCrossing(plan, noisyPicture(63, 12));
    expect(crossing).toMatchObject({ k: 0, size: 20, picture: { width: 20, height: 4 } });
    const payload = await encode(both, crossing, 'webp-80');
    expect(payload.shapes).toEqual([[1, 3, 4, 20]]);
    expect(payload.parts).toHaveLength(1);
    expect(pictures.asked).toEqual([{ format: 'webp', quality: 80 }]);
    const decoded = await both.decode(0, 'webp-80', payload);
    expect(decoded).toMatchObject({ k: 0, size: 20 });
    expect(decoded.tensors).toEqual(crossing.tensors);
  });

  test('gives null where the host cannot make the format', async () => {
    expect(await codec.encode(pictureCrossing(plan, noisyPicture(16, 4)), 'webp-80')).toBeNull();
  });

  test('cannot carry an input that never was a picture', async () => {
    const crossing = { k: 0, size: 16, tensors: tensorsAt(plan, 0, 16), picture: null };
    await expect(codec.encode(crossing, 'webp-80')).rejects.toThrow(tandemError('BAD_INPUT', 'needs a picture'));
  });

  test('asks the picture for the size that the shapes announce', async () => {
    const both = boundaryCodec(plan, new RawPictures());
    const { parts } = await encode(both, pictureCrossing(plan, noisyPicture(16, 4)), 'webp-80');
    const lying = { parts, shapes: [[1, 3, 4, 20]] };
    await expect(both.decode(0, 'webp-80', lying)).rejects.toThrow(tandemError('BAD_PAYLOAD', 'another size'));
  });
});

describe('a picture as input', () => {
  test('is refused where the plan takes tensors', () => {
    const tensorsOnly = { ...plan, preprocess: null };
    expect(() => pictureCrossing(tensorsOnly, noisyPicture(16, 4))).toThrow(tandemError('BAD_INPUT', 'takes tensors'));
  });

  test.each([
    ['RGB pixels', { width: 2, height: 2, data: new Uint8Array(12) }],
    ['no width', { width: 0, height: 2, data: new Uint8Array(0) }],
    ['no height', { width: 2, height: 0, data: new Uint8Array(0) }],
    ['a height that is no whole number', { width: 4, height: 2.5, data: new Uint8Array(40) }],
    ['a pixel too many', { width: 2, height: 2, data: new Uint8Array(20) }],
  ])('is refused with %s', (_, picture) => {
    expect(() => pictureCrossing(plan, picture)).toThrow(tandemError('BAD_INPUT', 'expected RGBA pixels'));
  });
});

describe('a quantized tier', () => {
  test('carries every tensor of the boundary to half a step', async () => {
    for (const [k, tier, step] of [
      [1, 'q8', 2 / 255],
      [1, 'q4', 2 / 15],
      [2, 'q8', 2 / 255],
    ] as const) {
      const tensors = tensorsAt(plan, k, 24);
      const payload = await encode(codec, { k, size: 24, tensors, picture: null }, tier);
      const decoded = await codec.decode(k, tier, payload);
      expect(decoded).toMatchObject({ k, size: 24, picture: null });
      expect(Object.keys(decoded.tensors)).toEqual(Object.keys(tensors));
      for (const [name, tensor] of Object.entries(tensors)) {
        const back = decoded.tensors[name] as Tensor;
        expect(back.shape).toEqual(tensor.shape);
        const errors = asFloat32(back).map((value, i) => Math.abs(value - (tensor.data[i] as number)));
        expect(Math.max(...errors)).toBeLessThanOrEqual(step / 2 + 1e-6);
      }
    }
  });

  test('sends the tensors in the order of the plan, not of the object', async () => {
    const { a, b } = tensorsAt(plan, 2, 16) as { a: Tensor; b: Tensor };
    const ordered = await encode(codec, { k: 2, size: 16, tensors: { b, a }, picture: null }, 'q8');
    const turned = await encode(codec, { k: 2, size: 16, tensors: { a, b }, picture: null }, 'q8');
    expect(turned).toEqual(ordered);
    expect(turned.shapes).toEqual([b.shape, a.shape]);
  });

  test('cannot be encoded without all of the boundary', async () => {
    const { b } = tensorsAt(plan, 2, 16) as { b: Tensor };
    const crossing = { k: 2, size: 16, tensors: { b }, picture: null };
    await expect(codec.encode(crossing, 'q8')).rejects.toThrow(tandemError('BAD_TENSOR', 'a tensor called a'));
  });

  test('is refused with parts too many or too few', async () => {
    const crossing = { k: 2, size: 16, tensors: tensorsAt(plan, 2, 16), picture: null };
    const { parts, shapes } = await encode(codec, crossing, 'q8');
    for (const wrong of [parts.slice(1), [...parts, new Uint8Array(1)]]) {
      const decoding = codec.decode(2, 'q8', { parts: wrong, shapes });
      await expect(decoding).rejects.toThrow(tandemError('BAD_PAYLOAD', `got ${wrong.length}`));
    }
  });

  test('is refused with parts in another order', async () => {
    const crossing = { k: 2, size: 16, tensors: tensorsAt(plan, 2, 16), picture: null };
    const { parts, shapes } = await encode(codec, crossing, 'q8');
    await expect(codec.decode(2, 'q8', { parts: parts.toReversed(), shapes })).rejects.toThrow(
      tandemError('BAD_PAYLOAD'),
    );
  });
});

describe('what the plan does not have', () => {
  const payload = { parts: [new Uint8Array(1)], shapes: [[1, 2, 4, 8]] };
  const crossing = { k: 1, size: 16, tensors: tensorsAt(plan, 1, 16), picture: null };

  test('a tier of another boundary is unknown, and those that are known are named', async () => {
    const unknown = tandemError('UNKNOWN_TIER', 'boundary 1 has no tier webp-80, only q8, q4');
    await expect(codec.decode(1, 'webp-80', payload)).rejects.toThrow(unknown);
    await expect(codec.encode(crossing, 'webp-80')).rejects.toThrow(unknown);
  });

  test('the last boundary has no tier at all', async () => {
    await expect(codec.decode(3, 'q8', payload)).rejects.toThrow(tandemError('UNKNOWN_TIER', 'only none'));
  });

  test.each([-1, 4, 0.5])('there is no boundary %s', async (k) => {
    const refusal = tandemError('BAD_BOUNDARY', `expected k from 0 to 3, got ${k}`);
    await expect(codec.decode(k, 'q8', payload)).rejects.toThrow(refusal);
    await expect(codec.encode({ ...crossing, k }, 'q8')).rejects.toThrow(refusal);
  });
});

describe('shapes', () => {
  test('that fit tell the size', () => {
    expect(checkShapes(plan, 0, [[1, 3, 4, 8]])).toBe(8);
    expect(
      checkShapes(plan, 2, [
        [1, 4, 2, 16],
        [1, 2, 4, 32],
      ]),
    ).toBe(64);
  });

  test.each<[string, number, number[][]]>([
    ['are too few', 2, [[1, 4, 2, 4]]],
    [
      'are too many',
      1,
      [
        [1, 2, 4, 8],
        [1, 2, 4, 8],
      ],
    ],
    ['have a dimension less', 1, [[1, 2, 4]]],
    ['have a dimension more', 1, [[1, 2, 4, 8, 1]]],
    ['have another channel count', 1, [[1, 3, 4, 8]]],
    [
      'disagree on the size',
      2,
      [
        [1, 4, 2, 4],
        [1, 2, 4, 10],
      ],
    ],
    ['are off the step', 0, [[1, 3, 4, 18]]],
    ['are below the least size', 0, [[1, 3, 4, 4]]],
    ['are above the greatest size', 0, [[1, 3, 4, 68]]],
    ['are of size 0', 1, [[1, 2, 4, 0]]],
    ['are of a size that is no integer', 0, [[1, 3, 4, 16.5]]],
  ])('that %s are refused, before anything is decoded', async (_, k, shapes) => {
    expect(() => checkShapes(plan, k, shapes)).toThrow(tandemError('BAD_TENSOR'));
    const tier = k === 0 ? 'webp-80' : 'q8';
    const payload = { parts: shapes.map(() => new Uint8Array(1)), shapes };
    await expect(codec.decode(k, tier, payload)).rejects.toThrow(tandemError('BAD_TENSOR'));
  });

  test('of a tensor that does not vary agree with every size', () => {
    const withFixed = structuredClone(plan);
    withFixed.boundaries[1]?.tensors.push({ name: 'pooled', dtype: 'float32', shape: [1, 2] });
    expect(
      checkShapes(withFixed, 1, [
        [1, 2, 4, 10],
        [1, 2],
      ]),
    ).toBe(20);
  });
});
