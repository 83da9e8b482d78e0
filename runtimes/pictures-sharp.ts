/** Pictures in Node, by libvips: decoding on the server, encoding where a client or the compiler stands in for a phone. */
import type sharpModule from 'sharp';
import type { PictureCodec, PictureFormat } from '../shared/codec/picture.ts';
import { messageOf, TandemError } from '../shared/errors.ts';

/** Looked at before libvips is: it would read dozens of formats, and a client may only send these. */
const MAGIC = {
  jpeg: (bytes: Uint8Array) => bytes[0] === 0xff && bytes[1] === 0xd8 && bytes[2] === 0xff,
  webp: (bytes: Uint8Array) => ascii(bytes, 0, 4) === 'RIFF' && ascii(bytes, 8, 12) === 'WEBP',
} satisfies Record<PictureFormat, (bytes: Uint8Array) => boolean>;

export function sharpPictures(sharp: typeof sharpModule): PictureCodec {
  return {
    async encode({ width, height, data }, format, quality) {
      const image = sharp(data, { raw: { width, height, channels: 4 } }).removeAlpha();
      return image.toFormat(format, { quality }).toBuffer();
    },
    async decode(bytes, format, { width, height }) {
      if (!MAGIC[format](bytes)) throw new TandemError('BAD_PAYLOAD', `expected a ${format}, got other bytes`);
      try {
        const image = sharp(bytes, { limitInputPixels: width * height, failOn: 'error', pages: 1 });
        const found = await image.metadata();
        if (found.format !== format || found.width !== width || found.height !== height) {
          throw new TandemError(
            'BAD_PAYLOAD',
            `expected a ${format} of ${width} x ${height}, got a ${found.format} of ${found.width} x ${found.height}`,
          );
        }
        const data = await image.toColourspace('srgb').ensureAlpha().raw().toBuffer();
        return { width, height, data };
      } catch (error) {
        if (error instanceof TandemError) throw error;
        throw new TandemError('BAD_PAYLOAD', `the picture cannot be read: ${messageOf(error)}`, { cause: error });
      }
    },
  };
}

function ascii(bytes: Uint8Array, start: number, end: number): string {
  return String.fromCharCode(...bytes.subarray(start, end));
}
