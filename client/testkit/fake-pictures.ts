/** A picture codec that makes no picture: bytes in the number that a format would take, roughly, and blank pixels back. */
import type { PictureCodec } from '../../shared/codec/picture.ts';
import type { Plan } from '../../shared/plan.ts';
import type { Picture } from '../../shared/preprocess/resize.ts';

const PIXEL_BYTES = 4;
/** Of the pixels' bytes. */
const COMPRESSED = 1 / 32;

export function fakePictures(): PictureCodec {
  return {
    encode: async ({ data }) => new Uint8Array(Math.ceil(data.length * COMPRESSED)),
    decode: async (_bytes, _format, { width, height }) => blank(width, height),
  };
}

/** A white picture of the plan's typical size. */
export function blankPicture({ size, preprocess }: Plan): Picture {
  return blank(size.typical, preprocess?.height ?? 1);
}

function blank(width: number, height: number): Picture {
  return { width, height, data: new Uint8ClampedArray(width * height * PIXEL_BYTES).fill(255) };
}
