/**
 * A network in user space: a TCP relay before a gateway that delays what passes, lets through so many bytes a second, stalls
 * without a word, or breaks. For tests and benches in Node; whatever speaks TCP can be behind it, browsers included.
 */
import { type AddressInfo, createConnection, createServer, type Socket } from 'node:net';
import { TandemError } from '../../shared/errors.ts';

export interface LinkConditions {
  /** One way, in milliseconds: a round trip takes twice this. */
  readonly delayMs: number;
  /** Of all connections together, each way; Infinity for no limit. */
  readonly upBytesPerS: number;
  readonly downBytesPerS: number;
}

/** From a time on, counted from the start of the replay. */
export interface TraceStep extends Partial<LinkConditions> {
  readonly atMs: number;
}

export interface ShapedLink {
  /** What stands for the gateway: `http://127.0.0.1:port`. */
  readonly url: string;
  /** Bytes that went each way so far. */
  readonly passed: { readonly up: number; readonly down: number };
  set(conditions: Partial<LinkConditions>): void;
  /** Conditions that change by themselves. Gives what stops it. */
  replay(trace: readonly TraceStep[]): () => void;
  /** Sockets stay open, and nothing passes: what a phone's network does between two cells. */
  stall(): void;
  /** Ends a stall or a cut. */
  restore(): void;
  /** Connections break, and new ones are refused, until it is restored. */
  cut(): void;
  /** Connections break; new ones may be made at once. */
  drop(): void;
  close(): Promise<void>;
}

/** What is handed on at once at most: so much smoother is the rate than the pieces that sockets give. */
const PIECE_BYTES = 4096;
/** Bytes on their way from which on the sender is held back. */
const HELD_MAX = 256 * 1024;

/** @param gatewayUrl `http://host:port` */
export async function shapeLink(gatewayUrl: string, conditions: Partial<LinkConditions> = {}): Promise<ShapedLink> {
  const { hostname, port } = new URL(gatewayUrl);
  let now: LinkConditions = {
    ...{ delayMs: 0, upBytesPerS: Number.POSITIVE_INFINITY, downBytesPerS: Number.POSITIVE_INFINITY },
    ...conditions,
  };
  const set = (changes: Partial<LinkConditions>) => {
    const { upBytesPerS, downBytesPerS } = { ...now, ...changes };
    if (!(upBytesPerS > 0 && downBytesPerS > 0)) {
      throw new TandemError('BAD_CONFIG', 'expected more than 0 bytes a second: stall() is what lets nothing pass');
    }
    now = { ...now, ...changes };
  };
  set({});
  const up = new Pipe(() => ({ delayMs: now.delayMs, bytesPerS: now.upBytesPerS }));
  const down = new Pipe(() => ({ delayMs: now.delayMs, bytesPerS: now.downBytesPerS }));
  const sockets = new Set<Socket>();
  let isCut = false;
  const server = createServer((near) => {
    if (isCut) return void near.destroy();
    const far = createConnection({ host: hostname, port: Number(port), noDelay: true });
    near.setNoDelay(true);
    for (const [from, to, pipe] of [
      [near, far, up],
      [far, near, down],
    ] as const) {
      sockets.add(from);
      from.on('data', (data: Buffer) => pipe.send(data, from, to));
      from.on('end', () => pipe.end(to));
      // An error closes the socket, and with it the other side.
      from.on('error', () => {});
      from.on('close', () => {
        sockets.delete(from);
        pipe.end(to);
      });
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const drop = () => {
    for (const socket of sockets) socket.destroy();
  };
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    passed: {
      get up() {
        return up.bytes;
      },
      get down() {
        return down.bytes;
      },
    },
    set,
    replay(trace) {
      const timers = trace.map(({ atMs, ...changes }) => setTimeout(() => set(changes), atMs));
      return () => timers.forEach(clearTimeout);
    },
    stall() {
      up.isStalled = true;
      down.isStalled = true;
    },
    restore() {
      isCut = false;
      up.resume();
      down.resume();
    },
    cut() {
      isCut = true;
      drop();
    },
    drop,
    async close() {
      drop();
      up.close();
      down.close();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

interface Parcel {
  readonly dueAtMs: number;
  readonly bytes: number;
  deliver(): void;
}

/** One direction: a line that all connections share, first in, first out. */
class Pipe {
  bytes = 0;
  isStalled = false;
  private readonly queue: Parcel[] = [];
  private freeAtMs = 0;
  private held = 0;
  /** Senders that are held back, whoever filled the line. */
  private readonly paused = new Set<Socket>();
  private timer: NodeJS.Timeout | undefined;
  private readonly conditions: () => { readonly delayMs: number; readonly bytesPerS: number };

  constructor(conditions: Pipe['conditions']) {
    this.conditions = conditions;
  }

  send(data: Buffer, from: Socket, to: Socket): void {
    const { delayMs, bytesPerS } = this.conditions();
    for (let at = 0; at < data.byteLength; at += PIECE_BYTES) {
      const piece = data.subarray(at, at + PIECE_BYTES);
      this.freeAtMs = Math.max(performance.now(), this.freeAtMs) + (1000 * piece.byteLength) / bytesPerS;
      this.held += piece.byteLength;
      this.push(this.freeAtMs + delayMs, piece.byteLength, () => {
        if (to.writable) to.write(piece);
      });
    }
    if (this.held < HELD_MAX) return;
    from.pause();
    this.paused.add(from);
  }

  end(to: Socket): void {
    this.push(Math.max(performance.now(), this.freeAtMs) + this.conditions().delayMs, 0, () => to.end());
  }

  resume(): void {
    this.isStalled = false;
    this.schedule();
  }

  close(): void {
    clearTimeout(this.timer);
    this.queue.length = 0;
  }

  private push(dueAtMs: number, bytes: number, deliver: () => void): void {
    // A shorter delay does not let what was sent later overtake.
    this.queue.push({ dueAtMs: Math.max(dueAtMs, this.queue.at(-1)?.dueAtMs ?? 0), bytes, deliver });
    if (this.queue.length === 1) this.schedule();
  }

  private schedule(): void {
    clearTimeout(this.timer);
    const [next] = this.queue;
    if (!next || this.isStalled) return;
    this.timer = setTimeout(() => this.flush(), Math.max(0, next.dueAtMs - performance.now()));
  }

  private flush(): void {
    while (!this.isStalled) {
      const [next] = this.queue;
      // A timer is late by up to a millisecond: what is due by then goes with it.
      if (!next || next.dueAtMs > performance.now() + 0.5) break;
      this.queue.shift();
      this.held -= next.bytes;
      this.bytes += next.bytes;
      next.deliver();
    }
    if (this.held < HELD_MAX) {
      for (const socket of this.paused) socket.resume();
      this.paused.clear();
    }
    this.schedule();
  }
}
