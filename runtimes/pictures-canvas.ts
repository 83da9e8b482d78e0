/** Pictures in browsers and their workers, by OffscreenCanvas. */
import type { PictureEncoder } from '../shared/codec/picture.ts';
import { TandemError } from '../shared/errors.ts';

export function canvasPictures(): PictureEncoder {
  return {
    async encode({ width, height, data }, format, quality) {
      const canvas = new OffscreenCanvas(width, height);
      const pixels = new ImageData(new Uint8ClampedArray(data), width, height);
      context2d(canvas).putImageData(pixels, 0, 0);
      const type = `image/${format}`;
      const blob = await canvas.convertToBlob({ type, quality: quality / 100 });
      // A browser that cannot make the type makes a PNG instead, and says so only here.
      return blob.type === type ? new Uint8Array(await blob.arrayBuffer()) : null;
    },
  };
}

/** RGBA pixels of anything that a canvas can draw, scaled to `width` x `height`. */
export function pixelsOf(source: CanvasImageSource, width: number, height: number): ImageData {
  const context = context2d(new OffscreenCanvas(width, height));
  context.imageSmoothingQuality = 'high';
  context.drawImage(source, 0, 0, width, height);
  return context.getImageData(0, 0, width, height);
}

function context2d(canvas: OffscreenCanvas): OffscreenCanvasRenderingContext2D {
  const context = canvas.getContext('2d', { willReadFrequently: true });
  if (!context) throw new TandemError('DEVICE_FAILED', 'this browser gives no 2D canvas context');
  return context;
}
