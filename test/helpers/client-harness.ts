/** The client core against a real gateway core, in one process: memory channels, fake time, no model. */
import { createHash } from 'node:crypto';
import { connectWith } from '../../client/client.ts';
import { type Device, localDevice } from '../../client/device.ts';
import type { FileStore } from '../../client/file-store.ts';
import type { Host } from '../../client/host.ts';
import type { Network } from '../../client/permissions.ts';
import type { RuntimeFile } from '../../client/runtime-file.ts';
import { type FakeClock, settle } from '../../client/testkit/fake-clock.ts';
import { mortal } from '../../client/testkit/fake-device.ts';
import { type ChannelEnd, channelPair } from '../../client/testkit/memory-channel.ts';
import type { Client, ClientOptions } from '../../client/types.ts';
import type { PictureCodec } from '../../shared/codec/picture.ts';
import type { Plan } from '../../shared/plan.ts';
import { planContract } from '../../shared/plan-contract.ts';
import type { Picture } from '../../shared/preprocess/resize.ts';
import * as frames from '../../shared/protocol/frames.ts';
import type { ClientMessage } from '../../shared/protocol/messages.ts';
import { seededRandom } from '../../shared/random.ts';
import type { Runtime } from '../../shared/runtime.ts';
import { float32, type Tensors } from '../../shared/tensor.ts';
import { GatewayHarness } from './gateway-harness.ts';

export const POLICY = { aliases: {}, labels: { public: 'input', personal: 'h', secret: 'local', staff: 'input' } };
export const PICTURE: Picture = { width: 16, height: 4, data: new Uint8Array(16 * 4 * 4).fill(255) };
/** What the fake segments answer, on the device: [1, 4]. The fake executor of the gateway answers otherwise. */
export const DEVICE_ANSWER = [2, 2, 2, 2];
/** What the gateway's chain answers. */
export const CLOUD_ANSWER = [7, 7, 7, 7];

export function answerOf(outputs: Tensors): number[] {
  return Array.from(outputs['y']?.data ?? [], Number);
}

/** The first byte says which. */
const SEGMENT_BYTES = [Uint8Array.of(1, 7, 7, 7), Uint8Array.of(2, 7, 7, 7)] as const;

export class ClientHarness {
  readonly gateway: GatewayHarness;
  /** One clock for both sides. */
  readonly clock: FakeClock;
  /** What the device says that it is on. */
  network: Network | null = null;
  /** Every message that left the client, in order. */
  readonly sent: ClientMessage[] = [];
  /** Connections so far, the newest last; the client's end. */
  readonly channels: ChannelEnd[] = [];
  readonly plan: Plan;
  /** Segments are served once the test allows it. */
  segmentsAllowed = 2;
  /** What is served for segment 1 instead, to corrupt it. */
  corrupt = false;
  isReachable = true;
  planFails = false;
  planHangs = false;
  /** What is served as the plan instead. */
  planText: string | null = null;
  /** What the gateway has of a plan's head; one of an earlier version has none. */
  head: Plan | null = null;
  /** Runtimes that were handed to devices. */
  readonly provided: Uint8Array[] = [];
  /** So many requests for segments are answered with 404. */
  missingFiles = 0;
  /** Every one for segment 2 is. */
  missingSecond = false;
  webpWorks = true;
  /** Changes a device as it is made. */
  onDevice: (device: Device) => Device = (device) => device;
  deviceFails = false;
  /** Methods of the device that fail while it lives. */
  readonly broken = new Set<'begin' | 'encode'>();
  /** What listeners of the app threw. */
  readonly reported: unknown[] = [];
  private loseNewestDevice: (reason: string) => void = () => {};
  /** Devices made so far. */
  devices = 0;
  /** Advances that the device makes wait for this. */
  deviceGate: Promise<void> = Promise.resolve();
  private readonly wakes = new Set<(awayMs: number) => void>();
  private allow: (() => void)[] = [];
  fetches: string[] = [];
  /** What the device keeps between visits. */
  readonly kept = new Map<string, Uint8Array>();
  readonly files: FileStore = memoryStore(this.kept);
  runtimeFile: RuntimeFile | null = null;
  saveData = false;
  /** Bytes of a segment after which its download breaks, once; 0 for one that does not. */
  breaksAfter = 0;
  /** What `Range` said, of requests that had one. */
  readonly ranges: string[] = [];
  /** What is served as the runtime. */
  runtimeBytes: Uint8Array = new Uint8Array();

  constructor(gateway: ConstructorParameters<typeof GatewayHarness>[0] = {}) {
    this.gateway = new GatewayHarness({ concurrency: 4, ...gateway });
    this.clock = this.gateway.clock;
    this.plan = servedPlan(this.gateway.plan);
    Object.assign(this.gateway.plan, this.plan);
  }

  connect(options: Partial<ClientOptions> = {}, host: Partial<Host> = {}): Promise<Client> {
    return connectWith(
      { ...this.host(), ...host },
      { url: 'http://gateway', model: 'small', policy: POLICY, ...options },
    );
  }

  /** Lets the client connect and download what it may. */
  async ready(options: Partial<ClientOptions> = {}): Promise<Client> {
    const client = await this.connect(options);
    await this.pass(1);
    return client;
  }

  /** Serves segments up to this one. */
  allowSegments(count: number): void {
    this.segmentsAllowed = count;
    for (const go of this.allow.splice(0)) go();
  }

  /** Lets the gateway finish what it is on, and the answer arrive. */
  async finish(): Promise<void> {
    this.gateway.executor.finish(CLOUD_ANSWER);
    await this.pass(1);
  }

  /** The same, once what is on its way has come. */
  async serve(): Promise<void> {
    await this.pass(1);
    await this.finish();
  }

  /** Time passes, on both sides. */
  pass(ms: number): Promise<void> {
    return this.clock.advance(ms);
  }

  /** The client's end of the newest connection. */
  get newest(): ChannelEnd {
    const near = this.channels.at(-1);
    if (!near) throw new Error('there is no connection');
    return near;
  }

  /** The newest connection breaks, without a word. */
  async cut(): Promise<void> {
    this.channels.at(-1)?.close(1006 as never, 'cut');
    await settle();
  }

  /** The newest device dies, as a worker does that runs out of memory. */
  async loseDevice(reason = 'out of memory'): Promise<void> {
    this.loseNewestDevice(reason);
    await settle();
  }

  /** As a page does that was away for so long. */
  wakeUp(awayMs = 0): void {
    for (const wake of this.wakes) wake(awayMs);
  }

  messagesOf<T extends ClientMessage['type']>(type: T): Extract<ClientMessage, { type: T }>[] {
    return this.sent.filter((message): message is Extract<ClientMessage, { type: T }> => message.type === type);
  }

  host(): Host {
    return {
      name: 'test',
      target: 'wasm',
      clock: this.clock,
      random: () => 0.5,
      fetch: ((url: string, init?: RequestInit) => this.fetch(url, init)) as typeof fetch,
      files: this.files,
      ...{ runtimeFile: this.runtimeFile, partInit: {} },
      savesData: () => this.saveData,
      network: () => this.network,
      sha256: async (content) => sha256(content),
      frames: async () => frames,
      connector: () => (events) => {
        const [near, far] = channelPair();
        near.events = { onFrame: events.onFrame, onClose: events.onClose };
        this.channels.push(near);
        // One that goes away lets nobody in: server/adapters/ws.ts.
        if (!this.isReachable || this.gateway.gateway.isDraining) {
          queueMicrotask(() => near.close(1006, 'unreachable'));
          return near;
        }
        const connection = this.gateway.gateway.opened(far);
        far.events = {
          onFrame: (frame) => {
            this.sent.push(frames.decodeFrame(frame).header as ClientMessage);
            connection.frame(frame);
          },
          onClose: (code) => connection.closed(code),
        };
        queueMicrotask(() => events.onOpen());
        return near;
      },
      createDevice: async (plan, onLost) => this.onDevice(this.device(plan, onLost)),
      report: (error) => this.reported.push(error),
      onWake: (listener) => {
        this.wakes.add(listener);
        return () => this.wakes.delete(listener);
      },
    };
  }

  /** The gateway is replaced by one that serves a plan with another contract. */
  changePlan(): void {
    this.plan.size.max -= this.plan.size.step;
    this.plan.id = sha256(planContract(this.plan));
    Object.assign(this.gateway.plan, this.plan);
  }

  private async fetch(url: string, init?: RequestInit): Promise<Response> {
    this.fetches.push(url);
    if (!this.isReachable) throw new TypeError('fetch failed');
    if (url.endsWith('plan-head.json')) {
      return this.head ? new Response(JSON.stringify(this.head)) : new Response('', { status: 404 });
    }
    if (url.endsWith('plan.json') && this.planFails) return new Response('', { status: 503 });
    if (url.endsWith('plan.json') && this.planHangs) await new Promise(() => {});
    if (url.endsWith('plan.json') && this.planText !== null) return new Response(this.planText);
    if (url.endsWith('plan.json')) return new Response(JSON.stringify(this.plan));
    if (url === this.runtimeFile?.url) return new Response(this.runtimeBytes.slice());
    const index = this.plan.segments.findIndex(({ targets }) => url.includes(targets['wasm']?.sha256 ?? '-'));
    if (index < 0) return new Response('', { status: 404 });
    if (this.missingFiles-- > 0 || (this.missingSecond && index === 1)) return new Response('', { status: 404 });
    while (index >= this.segmentsAllowed) await new Promise<void>((resolve) => this.allow.push(resolve));
    const range = new Headers(init?.headers).get('Range');
    if (range) this.ranges.push(range);
    const [from = 0, last] = (range ?? '').match(/\d+/g)?.map(Number) ?? [];
    const whole = new Uint8Array(SEGMENT_BYTES[index] as Uint8Array);
    if (this.corrupt) whole.fill(9);
    if (from >= whole.length) return new Response('', { status: 416 });
    const served = whole.slice(from, last === undefined ? whole.length : last + 1);
    const status = range ? 206 : 200;
    if (this.breaksAfter > 0) {
      const pieces = [served.slice(0, this.breaksAfter)];
      this.breaksAfter = 0;
      return new Response(
        new ReadableStream({
          pull(controller) {
            const piece = pieces.shift();
            if (piece) controller.enqueue(piece);
            else controller.error(new TypeError('network error'));
          },
        }),
        { status },
      );
    }
    return new Response(served, { status });
  }

  private device(plan: Plan, onLost: (reason: string) => void): Device {
    const runtime: Runtime = {
      name: 'fake',
      load: async (model) => ({
        inputNames: model[0] === 1 ? ['x'] : ['h'],
        outputNames: model[0] === 1 ? ['h'] : ['y'],
        run: async (feeds) => {
          const width = feeds['x']?.shape[3] ?? 4 * (feeds['h']?.shape[3] ?? 0);
          return model[0] === 1
            ? { h: float32([1, 2, 1, width / 4], new Float32Array(width / 2).fill(0.5)) }
            : { y: float32([1, width / 4], new Float32Array(width / 4).fill(2)) };
        },
        release: async () => {},
      }),
    };
    const pictures: PictureCodec = {
      encode: async (picture) => (this.webpWorks ? new Uint8Array(picture.data).subarray(0, 64) : null),
      decode: () => Promise.reject(new Error('devices do not decode')),
    };
    const own = localDevice({ plan, target: 'wasm', runtime, pictures, clock: this.clock, random: seededRandom(1) });
    this.devices++;
    const { device, die } = mortal(
      {
        ...own,
        provide: async (bytes) => {
          // As a worker has it: the page has it no more.
          this.provided.push(structuredClone(bytes, { transfer: [bytes.buffer as ArrayBuffer] }));
          return sha256(this.provided.at(-1) as Uint8Array);
        },
        begin: (picture) => (this.broken.has('begin') ? Promise.reject(new Error('no canvas')) : own.begin(picture)),
        encode: (crossing, tier) =>
          this.broken.has('encode') ? Promise.reject(new Error('no canvas')) : own.encode(crossing, tier),
        advance: async (crossing) => {
          await this.deviceGate;
          if (this.deviceFails) throw new Error('out of memory');
          return own.advance(crossing);
        },
      },
      onLost,
    );
    this.loseNewestDevice = die;
    return device;
  }
}

/** The small plan with hashes that are true. */
function servedPlan(plan: Plan): Plan {
  const segments = plan.segments.map((segment, i) => {
    const bytes = SEGMENT_BYTES[i] as Uint8Array;
    return {
      ...segment,
      targets: {
        wasm: {
          ...{ file: `${i + 1}.onnx`, sha256: sha256(bytes), bytes: bytes.length },
          ...{ recipe: 'float32', recipeSha256: '0'.repeat(64) },
        },
      },
    };
  });
  const served = { ...plan, segments };
  return { ...served, id: sha256(planContract(served)) };
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

function sha256(content: Uint8Array | string): string {
  return createHash('sha256').update(content).digest('hex');
}
