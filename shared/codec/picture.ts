/** What Tandem asks of a picture format's encoder and decoder: a canvas in browsers, libvips in Node. */
import type { Picture } from '../preprocess/resize.ts';

export type PictureFormat = 'webp' | 'jpeg';

export interface PictureEncoder {
  /**
   * @param quality 1 to 100, as the formats' own encoders count
   * @returns null where this host cannot make the format. Not every browser makes WebP, and one that cannot answers
   *   with a PNG and no error
   */
  encode(picture: Picture, format: PictureFormat, quality: number): Promise<Uint8Array | null>;
}

/** Of who receives pictures: a device only sends them. */
export interface PictureDecoder {
  /**
   * @param size what the picture must measure; checked before its pixels are unpacked
   * @throws BAD_PAYLOAD for bytes that are no such picture
   */
  decode(bytes: Uint8Array, format: PictureFormat, size: { width: number; height: number }): Promise<Picture>;
}

export interface PictureCodec extends PictureEncoder, PictureDecoder {}
