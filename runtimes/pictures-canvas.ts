/** Pictures in browsers and their workers, by OffscreenCanvas. */
import type { PictureEncoder } from '../shared/codec/picture.ts';

/** Some browsers change the lowest bits of what is read, which does no harm. */
const SLIGHT_MAX = 8;

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

/** RGBA pixels of anything that a canvas can draw, scaled to `width` x `height`. Throws where none can be read. */
export function pixelsOf(source: CanvasImageSource, width: number, height: number): ImageData {
  const context = context2d(new OffscreenCanvas(width, height));
  if (!context) throw new Error('no canvas can be read here');
  context.imageSmoothingQuality = 'high';
  context.drawImage(source, 0, 0, width, height);
  return context.getImageData(0, 0, width, height);
}

/** Null where there is none, or only noise is read of it, as in Firefox that resists fingerprinting: of an empty one too. */
function context2d(canvas: OffscreenCanvas): OffscreenCanvasRenderingContext2D | null {
  const context = canvas.getContext('2d', { willReadFrequently: true });
  return context?.getImageData(0, 0, 1, 1).data.every((byte) => byte <= SLIGHT_MAX) ? context : null;
}
