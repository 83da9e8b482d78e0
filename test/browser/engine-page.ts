/** The SDK's test page for browsers without a driver. */
import type { BrowserInput, InferOptions } from '../../client/browser.ts';
import { kit } from './client-page.ts';
import { obey } from './obey.ts';

/** What browsers call a picture. */
const FORMS: Readonly<Record<string, (bitmap: ImageBitmap) => BrowserInput | Promise<BrowserInput>>> = {
  ImageBitmap: (bitmap) => bitmap,
  HTMLCanvasElement: drawn,
  OffscreenCanvas(bitmap) {
    const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
    canvas.getContext('2d')?.drawImage(bitmap, 0, 0);
    return canvas;
  },
  ImageData: (bitmap) => drawn(bitmap).getContext('2d')?.getImageData(0, 0, bitmap.width, bitmap.height) as ImageData,
  Blob: (bitmap) => new Promise((resolve) => drawn(bitmap).toBlob((blob) => resolve(blob as Blob))),
  async HTMLImageElement(bitmap) {
    const image = new Image();
    image.src = drawn(bitmap).toDataURL();
    await image.decode();
    return image;
  },
  VideoFrame: (bitmap) => new VideoFrame(drawn(bitmap), { timestamp: 0 }),
};

function drawn(bitmap: ImageBitmap): HTMLCanvasElement {
  const canvas = document.createElement('canvas');
  [canvas.width, canvas.height] = [bitmap.width, bitmap.height];
  canvas.getContext('2d')?.drawImage(bitmap, 0, 0);
  return canvas;
}

const client = () => kit.client as NonNullable<typeof kit.client>;

const actions = {
  open: kit.open,
  lines: kit.lines,
  availability: kit.availability,
  read: kit.read,
  readPixels: ({ data, ...size }: { width: number; height: number; data: readonly number[] }, options?: InferOptions) =>
    kit.readInput({ ...size, data: Uint8Array.from(data) }, options),
  /** Opens with its first picture, which it need not wait for anything to send. */
  async openWithFirst(line: number) {
    await kit.open({ first: { input: kit.line(line), label: 'public' }, policy: { labels: { public: 'input' } } });
    return kit.read(line);
  },
  /** With a worker that a page without an origin may have. */
  async openInFrame() {
    const whole = new URL('worker.js', location.href);
    const script = `const said = [];
    onmessage = (event) => said.push(event);
    import('${whole}').then(() => said.forEach((event) => onmessage(event)));`;
    await kit.open({ worker: () => new Worker(URL.createObjectURL(new Blob([script]))) });
  },
  prepare: () => client().prepare(),
  state: async () => client().state,
  /** The classes that the model finds in a line, by the form that the picture came in; null where this browser has no such form. */
  async forms(line: number, options: InferOptions) {
    const found: Record<string, string | null> = {};
    for (const [name, make] of Object.entries(FORMS)) {
      if (!(name in globalThis)) {
        found[name] = null;
        continue;
      }
      const input = await make(kit.line(line));
      const { outputs } = await client().infer(input, { label: 'public', ...options });
      found[name] = String(outputs['indices']?.data);
      if (name === 'VideoFrame') (input as VideoFrame).close();
    }
    return found;
  },
  together: (count: number) => Promise.all(Array.from({ length: count }, (_, i) => kit.read(i % 2))),
  async stream(frames: number) {
    let made = 0;
    const source = new ReadableStream<ImageBitmap>({
      async pull(controller) {
        if (made++ < frames) controller.enqueue(await createImageBitmap(kit.line(0)));
        else controller.close();
      },
    });
    let answers = 0;
    for await (const _ of client().stream(source, { label: 'public' })) answers++;
    return answers;
  },
  /** What is read in each of so many frames of a video, in pictures that are taken of it. */
  async video(line: number, frames: number) {
    const canvas = drawn(kit.line(line));
    const timer = setInterval(() => canvas.getContext('2d')?.drawImage(kit.line(line), 0, 0), 20);
    const video = Object.assign(document.createElement('video'), { muted: true, playsInline: true });
    // Without a rate WebKit ends after two.
    video.srcObject = canvas.captureStream(20);
    await video.play();
    async function* framesOf(): AsyncGenerator<ImageBitmap> {
      for (let i = 0; i < frames; i++) {
        await new Promise((resolve) => video.requestVideoFrameCallback(resolve));
        yield createImageBitmap(video);
      }
    }
    const classes: string[] = [];
    for await (const { outputs } of client().stream(framesOf(), { label: 'public' })) {
      classes.push(String(outputs['indices']?.data));
    }
    clearInterval(timer);
    return classes;
  },
  /** What a request on the device ends with that is aborted after so long, and how long after. */
  async abort(afterMs: number) {
    const giveUp = new AbortController();
    let abortedMs = 0;
    setTimeout(() => {
      abortedMs = performance.now();
      giveUp.abort();
    }, afterMs);
    const error = await kit.read(0, { force: { k: 5 }, signal: giveUp.signal }).then(
      () => null,
      (reason) => reason,
    );
    return { name: error?.name, ms: performance.now() - abortedMs };
  },
  photo: () => kit.photo(),
  close: () => client().close(),
  async keep() {
    await navigator.serviceWorker.register('service-worker.js', { type: 'module' });
    await navigator.serviceWorker.ready;
  },
  click: async (selector: string) => document.querySelector<HTMLElement>(selector)?.click(),
  isShown: async (selector: string) => document.querySelector(selector)?.checkVisibility() ?? false,
  /** The answer is on its way before the page goes. */
  async reload() {
    setTimeout(() => location.reload(), 100);
  },
  host: async () => ({
    isIsolated: crossOriginIsolated,
    isSecure: isSecureContext,
    canShare: 'SharedArrayBuffer' in globalThis,
  }),
};
export type EngineActions = typeof actions;

await obey(actions, new URLSearchParams(location.search).get('control') ?? '');
