/** What a picture has to be, for who is handed one. */
import { TandemError } from '../errors.ts';
import type { Picture } from './resize.ts';

/** Throws BAD_INPUT for what is no picture of at least one pixel, with four bytes for each. */
export function assertPixels({ width, height, data }: Picture): void {
  const isBytes = data instanceof Uint8Array || data instanceof Uint8ClampedArray;
  // A buffer that was transferred has no bytes any more.
  const isWhole = width % 1 === 0 && height % 1 === 0;
  if (!isBytes || !isWhole || width < 1 || height < 1 || data.length !== width * height * 4) {
    const got = `${data?.length} bytes for ${width} x ${height} pixels`;
    throw new TandemError('BAD_INPUT', `expected RGBA pixels, got ${got}`);
  }
}
