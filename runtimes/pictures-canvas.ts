/** Pictures in browsers and their workers, by OffscreenCanvas. */
import type { PictureEncoder } from '../shared/codec/picture.ts';

/** Some browsers change the lowest bits of what is read, which does no harm. */
const SLIGHT_MAX = 8;
/** Larger pictures are shrunk by the browser first: no model that takes pictures needs more, and phones lack memory. */
const SIDE_MAX_PX = 2048;
/** A photo takes longer than a page may stand still: so much of it at a time takes a phone some 20 ms. */
const ROWS_AT_ONCE = 128;

export function canvasPictures(): PictureEncoder {
  return {
    async encode({ width, height, data }, format, quality) {
      const canvas = new OffscreenCanvas(width, height);
      const context = context2d(canvas);
      if (!context) return null;
      context.putImageData(new ImageData(new Uint8ClampedArray(data), width, height), 0, 0);
      const type = `image/${format}`;
      const blob = await canvas.convertToBlob({ type, quality: quality / 100 });
      // A browser that cannot make the type makes a PNG instead, and says so only here.
      return blob.type === type ? new Uint8Array(await blob.arrayBuffer()) : null;
    },
  };
}

/** RGBA pixels, of at most 2048 on a side. Rejects where none can be read. */
export async function pixelsOf(bitmap: ImageBitmap): Promise<ImageData> {
  const scale = Math.min(1, SIDE_MAX_PX / Math.max(bitmap.width, bitmap.height));
  const side = (length: number) => Math.max(1, Math.round(length * scale));
  const pixels = new ImageData(side(bitmap.width), side(bitmap.height));
  const { width, height } = pixels;
  const context = context2d(new OffscreenCanvas(width, ROWS_AT_ONCE));
  if (!context) throw new Error('no canvas can be read here');
  context.imageSmoothingQuality = 'high';
  for (let top = 0; top < height; top += ROWS_AT_ONCE) {
    // The page's turn: what comes from another thread is a task of its own, and timers of hidden pages come once a second.
    if (top > 0) await new Blob().text();
    // Or it would show through; drawn as a copy, Firefox scales otherwise.
    context.clearRect(0, 0, width, ROWS_AT_ONCE);
    context.drawImage(bitmap, 0, -top, width, height);
    const strip = context.getImageData(0, 0, width, Math.min(ROWS_AT_ONCE, height - top));
    pixels.data.set(strip.data, top * width * 4);
  }
  return pixels;
}

/** Null where there is none, or only noise is read of it, as in Firefox that resists fingerprinting: of an empty one too. */
function context2d(canvas: OffscreenCanvas): OffscreenCanvasRenderingContext2D | null {
  const context = canvas.getContext('2d', { willReadFrequently: true });
  return context?.getImageData(0, 0, 1, 1).data.every((byte) => byte <= SLIGHT_MAX) ? context : null;
}
