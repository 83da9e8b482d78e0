/** The page of the SDK's tests: what the SDK exports, and a reader of lines, for scripts that tests evaluate. */
import {
  availability,
  type BrowserClient,
  type BrowserInput,
  type BrowserOptions,
  connect,
  type InferOptions,
  type Route,
  type Tensors,
} from '../../client/browser.ts';
import { inputOf } from '../../client/browser-early.ts';
import { decodeCtc, parseCharset } from '../../models/ocr-line/ctc.ts';

export interface ReadLine {
  readonly text: string;
  readonly route: Route;
  readonly ms: number;
}

const gateway = new URLSearchParams(location.search).get('gateway') ?? '';
const POLICY = {
  aliases: { features: 'p2o.AveragePool.1' },
  labels: { public: 'input', personal: 'features', secret: 'local' },
};

let charset: readonly string[] = [];
const lines: ImageBitmap[] = [];

export const kit = {
  client: undefined as BrowserClient | undefined,
  workers: [] as Worker[],
  /** Milliseconds that tasks of the page took beyond 50. */
  longTasks: [] as number[],
  availability: () => availability({ url: gateway, model: 'ocr-line' }),
  async open(options: Partial<BrowserOptions> & { readonly workerUrl?: string } = {}): Promise<void> {
    const { workerUrl = './worker.js', ...rest } = options;
    const worker = () => {
      const made = new Worker(workerUrl, { type: 'module' });
      kit.workers.push(made);
      return made;
    };
    kit.client = await connect({ url: gateway, model: 'ocr-line', policy: POLICY, worker, ...rest });
    charset = parseCharset(new TextDecoder().decode(await kit.client.asset('charset')));
  },
  async lines(pictures: readonly string[]): Promise<void> {
    for (const picture of pictures) {
      const bytes = Uint8Array.from(atob(picture), (char) => char.charCodeAt(0));
      lines.push(await createImageBitmap(new Blob([bytes])));
    }
  },
  /** A photo of 12 megapixels, transparent between its lines, as the SDK takes it: bytes that drawing it at once gives otherwise, draws, and the page's turns at them. */
  async photo() {
    const photo = new OffscreenCanvas(4000, 3000);
    const context = photo.getContext('2d') as OffscreenCanvasRenderingContext2D;
    for (let i = 0; i < 3000; i++) {
      context.fillStyle = `hsl(${i % 360} 80% 50% / ${i % 7 ? 1 : 0.4})`;
      context.fillRect((i * 37) % 4000, i, 400, 1);
    }
    const { width, height, data } = atOnce(photo, 2048, 1536);
    let turn = 0;
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      turn++;
      port2.postMessage(null);
    };
    port2.postMessage(null);
    const draws: number[] = [];
    const { prototype } = OffscreenCanvasRenderingContext2D;
    const { drawImage } = prototype;
    prototype.drawImage = function (...args: unknown[]) {
      draws.push(turn);
      Reflect.apply(drawImage, this, args);
    };
    const taken = (await inputOf(photo)) as ImageData;
    prototype.drawImage = drawImage;
    port1.close();
    if (taken.width !== width || taken.height !== height) throw new Error(`${taken.width} x ${taken.height}`);
    const differing = data.filter((byte, i) => byte !== taken.data[i]).length;
    return { differing, draws: draws.length, turns: new Set(draws).size };
  },
  line: (line: number) => lines[line] as ImageBitmap,
  read: (line: number, options?: InferOptions) => kit.readInput(lines[line] as ImageBitmap, options),
  async readInput(input: BrowserInput, options: InferOptions = {}): Promise<ReadLine> {
    const startMs = performance.now();
    const { outputs, route } = await (kit.client as BrowserClient).infer(input, {
      label: 'public',
      ...options,
    });
    return { text: kit.textOf(outputs), route, ms: performance.now() - startMs };
  },
  textOf(outputs: Tensors): string {
    const numbers = (name: string) => Array.from<number | bigint, number>(outputs[name]?.data ?? [], Number);
    return decodeCtc(numbers('indices'), numbers('probabilities'), charset).text;
  },
};

function atOnce(source: CanvasImageSource, width: number, height: number): ImageData {
  const context = new OffscreenCanvas(width, height).getContext('2d', { willReadFrequently: true });
  if (!context) throw new Error('no canvas can be read here');
  context.imageSmoothingQuality = 'high';
  context.drawImage(source, 0, 0, width, height);
  return context.getImageData(0, 0, width, height);
}

new PerformanceObserver((list) => {
  for (const { duration } of list.getEntries()) kit.longTasks.push(duration);
}).observe({ type: 'longtask' });

export type Kit = typeof kit;
Object.assign(globalThis, { kit });
