/**
 * The queue before the executor: bounded, first come first served, with deadlines. A request that cannot be served in
 * time is told so at once or when its deadline passes, never left to wait. Nobody keeps others out by filling it.
 */
import type { Clock } from '../shared/clock.ts';
import { TandemError } from '../shared/errors.ts';
import type { Load } from '../shared/protocol/messages.ts';
import type { Call, Executor, Task, TaskResult } from './executor.ts';

export interface Admitted extends TaskResult {
  /** Time from admission to the executor, in milliseconds. */
  readonly queueMs: number;
}

export interface Ticket {
  readonly result: Promise<Admitted>;
  /** Whether it was handed to the executor. */
  readonly hasBegun: boolean;
  /** Takes a waiting request out of the queue. One that runs is left to end, and its result goes nowhere. */
  cancel(): void;
}

interface Waiting {
  readonly task: Task;
  readonly client: object;
  readonly sinceMs: number;
  readonly stopTimer: () => void;
  readonly call: Call;
  resolve(result: Admitted): void;
  reject(error: unknown): void;
}

/** Weight of the newest service time in the running mean. */
const SERVICE_WEIGHT = 0.2;

export class Admission {
  private readonly waiting: Waiting[] = [];
  private running = 0;
  private serviceMs = 0;
  private readonly executor: Executor;
  private readonly clock: Clock;
  private readonly queueDepthMax: number;
  private idle: (() => void)[] = [];

  constructor(executor: Executor, clock: Clock, queueDepthMax: number) {
    this.executor = executor;
    this.clock = clock;
    this.queueDepthMax = queueDepthMax;
  }

  /** What clients are told, so that they can decide elsewhere. */
  get load(): Load {
    const ahead = this.waiting.length + Math.max(0, this.running - this.executor.concurrency + 1);
    const queueMs = (ahead * this.serviceMs) / this.executor.concurrency;
    return { queueDepth: this.waiting.length, queueMs };
  }

  get inFlight(): number {
    return this.running + this.waiting.length;
  }

  /**
   * @param client whose request it is: it shares the queue with others
   * @throws OVERLOADED where the queue is full and nobody has more in it, with a hint when to come back
   */
  submit(task: Task, deadlineMs: number, client: object = this): Ticket {
    if (this.waiting.length >= this.queueDepthMax && this.running >= this.executor.concurrency) this.makeRoom(client);
    let end = (_reason: unknown) => {};
    let hasBegun = false;
    let isWanted = true;
    const result = new Promise<Admitted>((resolve, reject) => {
      const stopTimer = this.clock.after(deadlineMs, () =>
        end(new TandemError('DEADLINE_EXCEEDED', `there was no result within ${deadlineMs} ms`)),
      );
      const begin = () => {
        hasBegun = true;
      };
      const call = { begin, isWanted: () => isWanted };
      const giveUp = (reason: unknown) => end(reason);
      const entry: Waiting = { task, client, sinceMs: this.clock.now(), stopTimer, call, resolve, reject: giveUp };
      end = (reason) => {
        isWanted = false;
        reject(reason);
        this.remove(entry);
      };
      this.waiting.push(entry);
    });
    this.dispatch();
    return {
      result,
      get hasBegun() {
        return hasBegun;
      },
      cancel: () => end(new TandemError('CANCELLED', `cancelled while it ${hasBegun ? 'ran' : 'waited'}`)),
    };
  }

  /** Resolves when nothing waits and nothing runs. */
  drained(): Promise<void> {
    if (this.inFlight === 0) return Promise.resolve();
    return new Promise((resolve) => this.idle.push(resolve));
  }

  /** Whoever has most in the queue gives way to one who has less, with its newest: to that it is as if it had come too late. */
  private makeRoom(client: object): void {
    const counts = new Map([[client, 1]]);
    for (const entry of this.waiting) counts.set(entry.client, (counts.get(entry.client) ?? 0) + 1);
    const [most] = [...counts].reduce((one, other) => (other[1] > one[1] ? other : one));
    const error = new TandemError('OVERLOADED', `the queue is full: ${this.waiting.length} requests wait`, {
      retryAfterMs: Math.ceil(this.load.queueMs),
    });
    if (most === client) throw error;
    this.waiting.findLast((entry) => entry.client === most)?.reject(error);
  }

  private dispatch(): void {
    while (this.running < this.executor.concurrency) {
      const next = this.waiting.shift();
      if (!next) break;
      void this.start(next);
    }
    this.settleIdle();
  }

  private settleIdle(): void {
    if (this.inFlight === 0) for (const resolve of this.idle.splice(0)) resolve();
  }

  /** Takes a request out of the queue, if it is still there. Others run meanwhile, or it would not have waited. */
  private remove(entry: Waiting): void {
    const at = this.waiting.indexOf(entry);
    if (at < 0) return;
    this.waiting.splice(at, 1);
    entry.stopTimer();
  }

  private async start({ task, sinceMs, stopTimer, call, resolve, reject }: Waiting): Promise<void> {
    const startMs = this.clock.now();
    const queueMs = startMs - sinceMs;
    this.running++;
    try {
      const result = await this.executor.run(task, call);
      this.observe(this.clock.now() - startMs);
      resolve({ ...result, queueMs });
    } catch (error) {
      reject(error);
    } finally {
      stopTimer();
      this.running--;
      this.dispatch();
    }
  }

  private observe(ms: number): void {
    this.serviceMs = this.serviceMs === 0 ? ms : this.serviceMs + SERVICE_WEIGHT * (ms - this.serviceMs);
  }
}
