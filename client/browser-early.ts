/** What a browser has before the SDK has come: what is begun early, and how pictures are read. */
import { canvasPictures, pixelsOf } from '../runtimes/pictures-canvas.ts';
import { messageOf, TandemError } from '../shared/errors.ts';
import type { BrowserInput, BrowserOptions } from './browser.ts';
import { begin, type Early } from './early.ts';
import type { Input } from './types.ts';
import { webSocketConnector } from './web-socket.ts';

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
  if (typeof input !== 'object' || input === null) return false;
  return ![ImageData.prototype, Object.prototype, null].includes(Object.getPrototypeOf(input));
}

async function toPicture(source: Exclude<ImageBitmapSource, ImageData>): Promise<ImageData> {
  try {
    const bitmap = await createImageBitmap(source);
    const pixels = await pixelsOf(bitmap);
    bitmap.close();
    return pixels;
  } catch (error) {
    throw new TandemError('BAD_INPUT', `the picture cannot be read: ${messageOf(error)}`, { cause: error });
  }
}
