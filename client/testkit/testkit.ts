/**
 * Tandem for the tests of an app: the SDK's own client against the gateway's own protocol, in one process and on a clock that
 * the test moves. No model runs; the test says what is answered, by whom, when, and what breaks.
 */
import { Admission } from '../../server/admission.ts';
import { createGateway } from '../../server/gateway.ts';
import { TandemError } from '../../shared/errors.ts';
import type { Plan } from '../../shared/plan.ts';
import { type PolicyInput, parsePolicy } from '../../shared/policy/language.ts';
import * as frames from '../../shared/protocol/frames.ts';
import { FRAME_BYTES_MAX, IDLE_TIMEOUT_MS, IN_FLIGHT_MAX } from '../../shared/protocol/limits.ts';
import type { ClientMessage } from '../../shared/protocol/messages.ts';
import { filePath, modelPath } from '../../shared/protocol/paths.ts';
import type { BrowserClient, BrowserInput, BrowserOptions } from '../browser.ts';
import { connectWith } from '../client.ts';
import type { FileStore } from '../file-store.ts';
import type { Host } from '../host.ts';
import type { InferOptions, Input, ModelTypes } from '../types.ts';
import { type Answer, type Asked, answerTo } from './answer.ts';
import { FakeClock } from './fake-clock.ts';
import { type FakeCloud, FakeExecutor } from './fake-cloud.ts';
import { type FakeDevice, FakeDevices } from './fake-device.ts';
import { type FakeLink, FakeNetwork } from './fake-link.ts';
import { blankPicture } from './fake-pictures.ts';
import { fakeReceipts } from './fake-receipts.ts';
import { servedPlan, sha256Of, TARGET } from './served-plan.ts';
import { smallPlan } from './small-plan.ts';

export interface TestkitOptions {
  /** What the model answers: its outputs by name. */
  readonly answer: Answer;
  /**
   * The plan.json of your bundle, parsed; default: a picture of 4 rows -> `y`, float32 [1, width / 4], in two segments, with the
   * tensor `h` between them.
   */
  readonly plan?: Plan | undefined;
  /** Contents of the plan's assets, by name: what `client.asset` gives. */
  readonly assets?: Readonly<Record<string, Uint8Array | string>> | undefined;
  /**
   * The gateway's policy, and that of clients which bring none; default: `public` may be sent as it is, `secret` stays on the
   * device, and, of the default plan, `personal` may be sent from `h` on.
   */
  readonly policy?: PolicyInput | undefined;
  /** Whom the gateway lets in besides clients without a token. */
  readonly tokens?: readonly string[] | undefined;
}

export interface Testkit {
  /** As clients get it: the one that was given, with files that hold no model. */
  readonly plan: Plan;
  /** What `pass` and `run` move. */
  readonly clock: FakeClock;
  /** What the gateway does with what it is sent, and what that was. */
  readonly cloud: FakeCloud;
  /** How fast devices are, and how they end. */
  readonly device: FakeDevice;
  /** The network between the two. */
  readonly link: FakeLink;
  /** What is answered from now on. */
  answer: Answer;
  /**
   * Stands for `connect` of `tandem/client`: resolves once there is a plan, and goes on in the background. Clients of one kit
   * share its gateway, and what the device kept. What only a browser can read (a File, a canvas, a VideoFrame) counts as a
   * blank picture.
   */
  connect<T extends ModelTypes = ModelTypes>(options?: Partial<BrowserOptions>): Promise<BrowserClient<T>>;
  /** Time passes. */
  pass(ms: number): Promise<void>;
  /** Time passes until `work` settles: gives what it gives. Rejects after a minute of the fake clock, or `msMax`. */
  run<T>(work: Promise<T>, msMax?: number): Promise<T>;
  /**
   * Which segments can be fetched from now on: the first `count`. Requests for the others wait until they may be, or are
   * answered with 404. What a device has loaded it has; what was kept is not fetched.
   */
  serveSegments(count: number, others?: 'wait' | 'missing'): void;
  /** The device loses the files that it kept from earlier connections, as a browser does that needs the room. */
  forget(): void;
}

/**
 * Nothing takes time, and nothing fails, unless the test says so: what only waits for promises is done when it is awaited,
 * the rest once time has passed.
 * @throws BAD_CONFIG for a policy that is none, without `answer`, and for a `plan` that is none; BAD_TENSOR for an answer that is not the plan's
 */
export function createTestkit(options: TestkitOptions): Testkit {
  const { answer, plan } = options as Partial<TestkitOptions>;
  if (typeof answer !== 'function' && typeof answer !== 'object') {
    throw new TandemError(
      'BAD_CONFIG',
      'createTestkit needs `answer`: the outputs by name, or a function that gives them',
    );
  }
  if (plan !== undefined && !Array.isArray(plan?.segments)) {
    throw new TandemError('BAD_CONFIG', '`plan` is to be a plan.json, parsed');
  }
  return new Kit(options);
}

const GATEWAY_URL = 'http://gateway.test';
const NOBODY_WATCHES = {
  ...{ request() {}, stage() {}, bytes() {}, audit() {} },
  ...{ clientRequests() {}, connections() {}, closed() {} },
};

class Kit implements Testkit {
  readonly plan: Plan;
  readonly clock = new FakeClock();
  readonly cloud: FakeExecutor;
  readonly device: FakeDevices;
  readonly link: FakeNetwork;
  answer: Answer;
  private readonly policy: PolicyInput;
  private readonly files: ReadonlyMap<string, Uint8Array>;
  private readonly segments: readonly string[];
  private served = { count: Number.POSITIVE_INFINITY, others: 'wait' };
  private readonly waiting: (() => void)[] = [];
  private readonly kept = new Map<string, Uint8Array>();
  private readonly connector: ReturnType<FakeNetwork['connectorTo']>;

  constructor({ answer, plan, assets, policy, tokens = [] }: TestkitOptions) {
    const { clock } = this;
    ({ plan: this.plan, files: this.files, segments: this.segments } = servedPlan(plan ?? smallPlan(), assets));
    this.answer = answer;
    const answered = (asked: Asked) => answerTo(this.answer, this.plan, asked);
    if (typeof answer !== 'function') answered({ by: 'cloud', k: 0, size: this.plan.size.typical });
    this.policy = policy ?? defaultPolicy(plan);
    const parsed = parsePolicy(this.policy, 'policy');
    this.cloud = new FakeExecutor(this.plan, clock, answered);
    this.device = new FakeDevices(clock, answered);
    this.link = new FakeNetwork(clock, (frame) => this.receive(frame));
    const labels = Object.keys(parsed.labels);
    const gateway = createGateway({
      name: 'testkit',
      plans: [this.plan],
      policy: parsed,
      credentials: {
        anonymous: { labels },
        tokens: tokens.map((token) => ({ name: 'token', sha256: sha256Of(token), labels })),
      },
      region: null,
      receipts: fakeReceipts(),
      admission: new Admission(this.cloud, clock, Number.POSITIVE_INFINITY),
      metrics: NOBODY_WATCHES,
      clock,
      limits: { frameBytesMax: FRAME_BYTES_MAX, inFlightMax: IN_FLIGHT_MAX, idleTimeoutMs: IDLE_TIMEOUT_MS },
    });
    this.connector = this.link.connectorTo(gateway);
    this.connect = this.connect.bind(this);
  }

  async connect<T extends ModelTypes = ModelTypes>(options: Partial<BrowserOptions> = {}): Promise<BrowserClient<T>> {
    const { policy } = this;
    const client = await connectWith(this.host(), { url: GATEWAY_URL, model: this.plan.name, policy, ...options });
    const { infer, explain, stream } = client;
    return Object.assign(client, {
      infer: async (input: BrowserInput, inferOptions?: InferOptions) =>
        infer.call(client, this.inputOf(input), inferOptions),
      explain: async (input: BrowserInput, inferOptions?: InferOptions) =>
        explain.call(client, this.inputOf(input), inferOptions),
      stream: (frames: AsyncIterable<BrowserInput> | ReadableStream<BrowserInput>, inferOptions?: InferOptions) =>
        // The client's own `infer` is the one above by now.
        stream.call(client, frames as AsyncIterable<Input>, inferOptions),
    }) as unknown as BrowserClient<T>;
  }

  pass(ms: number): Promise<void> {
    return this.clock.advance(ms);
  }

  run<T>(work: Promise<T>, msMax?: number): Promise<T> {
    return this.clock.run(work, msMax);
  }

  serveSegments(count: number, others: 'wait' | 'missing' = 'wait'): void {
    this.served = { count, others };
    for (const look of this.waiting.splice(0)) look();
  }

  forget(): void {
    this.kept.clear();
  }

  private host(): Host {
    const { clock, link, connector } = this;
    return {
      name: 'testkit',
      target: TARGET,
      clock,
      random: () => 0.5,
      fetch: ((url: string, init?: RequestInit) => this.fetch(url, init?.signal)) as typeof fetch,
      files: memoryStore(this.kept),
      ...{ runtimeFile: null, partInit: {} },
      sha256: async (content) => sha256Of(content),
      frames: async () => frames,
      connector: () => connector,
      createDevice: async (plan, onLost) => this.device.make(plan, onLost),
      // As an EventTarget does with a listener that throws.
      report: (error) =>
        queueMicrotask(() => {
          throw error;
        }),
      onWake: (listener) => link.onRestore(() => listener(0)),
      onNetwork: (listener) => link.onRestore(listener),
    };
  }

  private receive(frame: Uint8Array): void {
    const message = frames.decodeFrame(frame).header as ClientMessage;
    if (message.type !== 'infer') return;
    const { k, tier, label, deadlineMs, trace, shapes } = message;
    this.cloud.received.push({ k, tier, label, deadlineMs, trace, shapes, bytes: frame.byteLength });
  }

  private async fetch(url: string, signal: AbortSignal | null | undefined): Promise<Response> {
    const { plan } = this;
    const path = new URL(url).pathname;
    const assertLink = () => {
      if (this.link.isCut) throw new TypeError('fetch failed: the link was cut');
    };
    assertLink();
    // No head of the plan: one would be followed by the whole, and by another device, in the middle of a test.
    if (path.endsWith(`${modelPath(plan.name)}/plan.json`)) return new Response(JSON.stringify(plan));
    const file = [...this.filesOfPlan()].find((each) => path.endsWith(filePath(plan.name, each)));
    const number = this.segments.indexOf(file?.sha256 ?? '');
    while (number >= this.served.count && this.served.others === 'wait') {
      await new Promise<void>((resolve, reject) => {
        this.waiting.push(resolve);
        signal?.addEventListener('abort', () => reject(signal.reason));
      });
    }
    assertLink();
    const bytes = this.files.get(file?.sha256 ?? '');
    if (!bytes || number >= this.served.count) return new Response('', { status: 404 });
    return new Response(bytes.slice());
  }

  private filesOfPlan() {
    const { segments, assets } = this.plan;
    return [...segments.flatMap(({ targets }) => targets[TARGET] ?? []), ...Object.values(assets)];
  }

  /** Browsers read files, canvases and frames; a process without one cannot. */
  private inputOf(input: BrowserInput): Input {
    if (typeof input !== 'object' || input === null)
      throw new TandemError('BAD_INPUT', `expected a picture, got ${input}`);
    const isPlain = [Object.prototype, null].includes(Object.getPrototypeOf(input));
    const isPixels = 'data' in input && 'width' in input && 'height' in input;
    return isPlain || isPixels ? (input as Input) : blankPicture(this.plan);
  }
}

function defaultPolicy(plan: Plan | undefined): PolicyInput {
  return { labels: { public: 'input', secret: 'local', ...(!plan && { personal: 'h' }) } };
}

function memoryStore(kept: Map<string, Uint8Array>): FileStore {
  return {
    get: async (name) => kept.get(name)?.slice(),
    async put(name, bytes) {
      kept.set(name, bytes.slice());
    },
    async delete(name) {
      kept.delete(name);
    },
    names: async () => [...kept.keys()],
  };
}
