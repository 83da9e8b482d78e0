/** The page of the SDK's tests: what the SDK exports, and a reader of lines, for scripts that tests evaluate. */
import {
  availability,
  type BrowserClient,
  type BrowserInput,
  type BrowserOptions,
  connect,
  type InferOptions,
  type Route,
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
  /** What the SDK makes of a picture before anything else. */
  inputOf,
  line: (line: number) => lines[line] as ImageBitmap,
  read: (line: number, options?: InferOptions) => kit.readInput(lines[line] as ImageBitmap, options),
  async readInput(input: BrowserInput, options: InferOptions = {}): Promise<ReadLine> {
    const startMs = performance.now();
    const { outputs, route } = await (kit.client as BrowserClient).infer(input, {
      label: 'public',
      ...options,
    });
    const numbers = (name: string) => Array.from<number | bigint, number>(outputs[name]?.data ?? [], Number);
    const { text } = decodeCtc(numbers('indices'), numbers('probabilities'), charset);
    return { text, route, ms: performance.now() - startMs };
  },
};

new PerformanceObserver((list) => {
  for (const { duration } of list.getEntries()) kit.longTasks.push(duration);
}).observe({ type: 'longtask' });

export type Kit = typeof kit;
Object.assign(globalThis, { kit });
