/** What a browser has before the SDK has come: what is begun early, and how pictures are read. */
import { canvasPictures, pixelsOf } from '../runtimes/pictures-canvas.ts';
import { messageOf, TandemError } from '../shared/errors.ts';
import type { BrowserInput, BrowserOptions } from './browser.ts';
import { begin, type Early } from './early.ts';
import type { Input } from './types.ts';
import { webSocketConnector } from './web-socket.ts';

/** Larger pictures are shrunk by the browser first: no model that takes pictures needs more, and phones lack memory. */
const PICTURE_SIDE_MAX_PX = 2048;

export function beginEarly(options: BrowserOptions): Early {
  return begin(options, {
    connector: (url, hello) => webSocketConnector(url, WebSocket, hello),
    fetch: (url, init) => fetch(url, init),
    pictures: canvasPictures(),
    now: () => performance.now(),
    inputOf,
  });
}

/** Throws BAD_INPUT for a picture that cannot be read. */
export async function inputOf(input: BrowserInput): Promise<Input> {
  return isDrawable(input) ? toPicture(input) : input;
}

/** ImageData is a picture as it is; records of tensors are plain objects. What is no object the core refuses. */
function isDrawable(input: BrowserInput): input is Exclude<ImageBitmapSource, ImageData> {
  if (typeof input !== 'object' || input === null || input instanceof ImageData) return false;
  return ![Object.prototype, null].includes(Object.getPrototypeOf(input));
}

async function toPicture(source: Exclude<ImageBitmapSource, ImageData>): Promise<ImageData> {
  try {
    const bitmap = await createImageBitmap(source);
    const scale = Math.min(1, PICTURE_SIDE_MAX_PX / Math.max(bitmap.width, bitmap.height));
    const side = (length: number) => Math.max(1, Math.round(length * scale));
    const pixels = await pixelsOf(bitmap, side(bitmap.width), side(bitmap.height));
    bitmap.close();
    return pixels;
  } catch (error) {
    throw new TandemError('BAD_INPUT', `the picture cannot be read: ${messageOf(error)}`, { cause: error });
  }
}
