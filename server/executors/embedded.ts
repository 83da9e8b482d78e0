/**
 * The embedded executor: a fixed pool of worker threads, each with every plan loaded. A worker that dies fails the task
 * it was on and is replaced. onnxruntime cannot be interrupted: a task once begun is left to end, and a worker that is
 * at it for too long is ended with it.
 */
import { setTimeout as setTimeoutAsync } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { TandemError } from '../../shared/errors.ts';
import type { Call, Executor, Task, TaskResult } from '../executor.ts';
import type { WorkerData, WorkerReply } from './task-worker.ts';

export interface EmbeddedOptions extends WorkerData {
  readonly workers: number;
  /** A task that runs longer is stuck, in milliseconds. */
  readonly taskTimeoutMs: number;
  /** The worker's script; default: task-worker.js beside this module. */
  readonly script?: URL;
  /** Called for every worker that died and was replaced. */
  readonly onRestart: (reason: string) => void;
}

/** Time that ending a worker may take when the pool is closed; native code cannot be stopped, the process can. */
const TERMINATE_MS = 2000;

/** Pause before a dead worker is replaced, in milliseconds: a model that kills every worker must not burn the CPU. */
const RESTART_DELAY_MS = 500;

interface Job {
  readonly task: Task;
  readonly call: Call | undefined;
  resolve(result: TaskResult): void;
  reject(error: unknown): void;
}

interface Member {
  worker: Worker;
  isReady: boolean;
  job: Job | null;
  timeout: NodeJS.Timeout | undefined;
}

/** Resolves when all workers have loaded their sessions. Rejects with INTERNAL where the first start fails. */
export async function embeddedExecutor(options: EmbeddedOptions): Promise<Executor> {
  const pool = new WorkerPool(options);
  try {
    await pool.start();
  } catch (error) {
    await pool.close();
    throw error;
  }
  return pool;
}

class WorkerPool implements Executor {
  readonly concurrency: number;
  private readonly options: EmbeddedOptions;
  private readonly members: Member[] = [];
  private readonly waiting: Job[] = [];
  /** Workers that are ended once they come back from what they are at. */
  private readonly doomed = new Set<Worker>();
  private isClosed = false;

  constructor(options: EmbeddedOptions) {
    this.options = options;
    this.concurrency = options.workers;
  }

  get isReady(): boolean {
    return this.members.some((member) => member.isReady);
  }

  async start(): Promise<void> {
    await Promise.all(Array.from({ length: this.options.workers }, () => this.spawn()));
  }

  run(task: Task, call?: Call): Promise<TaskResult> {
    if (this.isClosed) return Promise.reject(new TandemError('DRAINING', 'the server is closing'));
    return new Promise((resolve, reject) => {
      this.waiting.push({ task, call, resolve, reject });
      this.dispatch();
    });
  }

  async close(): Promise<void> {
    this.isClosed = true;
    for (const job of this.waiting.splice(0)) job.reject(new TandemError('DRAINING', 'the server is closing'));
    const ended = Promise.all([...this.members.map((member) => this.end(member)), ...[...this.doomed].map(exitOf)]);
    const patience = new AbortController();
    await Promise.race([ended, setTimeoutAsync(TERMINATE_MS, undefined, { signal: patience.signal }).catch(() => {})]);
    patience.abort();
    // Those that did not come back: the process can end without them.
    for (const worker of this.doomed) worker.unref();
  }

  /** onnxruntime takes the whole process down where its thread is ended within a run: only one that is at nothing is. */
  private async end({ worker, job }: Member): Promise<void> {
    if (job) {
      this.doomed.add(worker);
      await exitOf(worker);
    } else await worker.terminate();
  }

  /** Starts one worker. Resolves once it is ready, rejects where it dies before. */
  private spawn(): Promise<void> {
    const { bundles, threads, script = new URL('./task-worker.js', import.meta.url) } = this.options;
    const workerData: WorkerData = { bundles, threads };
    const worker = new Worker(script, { workerData });
    const member: Member = { worker, isReady: false, job: null, timeout: undefined };
    this.members.push(member);
    return new Promise((resolve, reject) => {
      let reason = 'it exited';
      worker.on('message', (reply: WorkerReply) => {
        if (this.doomed.has(worker)) void worker.terminate();
        if (reply.type === 'ready') {
          member.isReady = true;
          resolve();
        } else {
          this.settle(member, reply);
        }
        this.dispatch();
      });
      worker.on('error', (error) => {
        reason = error.message;
      });
      worker.on('exit', () => {
        const wasReady = member.isReady;
        this.doomed.delete(worker);
        this.bury(member, reason);
        if (!wasReady) reject(new TandemError('INTERNAL', `a worker did not start: ${reason}`));
      });
    });
  }

  private dispatch(): void {
    for (const member of this.members) {
      if (!member.isReady || member.job) continue;
      const job = this.nextWanted();
      if (!job) return;
      member.job = job;
      job.call?.begin();
      member.timeout = setTimeout(() => this.giveUp(member), this.options.taskTimeoutMs);
      // The parts are views of a larger network buffer, which a structured clone would copy whole.
      const parts = job.task.payload.parts.map((part) => new Uint8Array(part));
      const request: Task = { ...job.task, payload: { ...job.task.payload, parts } };
      member.worker.postMessage(
        request,
        parts.map(({ buffer }) => buffer),
      );
    }
  }

  /** While a worker is replaced tasks wait here, and are given up here. */
  private nextWanted(): Job | undefined {
    for (;;) {
      const job = this.waiting.shift();
      if (!job?.call || job.call.isWanted()) return job;
      job.reject(new TandemError('CANCELLED', 'nobody waits for it any more'));
    }
  }

  private settle(member: Member, reply: Exclude<WorkerReply, { type: 'ready' }>): void {
    const { job } = member;
    member.job = null;
    clearTimeout(member.timeout);
    if (reply.type === 'done') job?.resolve(reply.result);
    else job?.reject(new TandemError(reply.code, reply.message));
  }

  /** Its successor does not wait for it to end: a worker in native code is ended when that returns. */
  private giveUp(member: Member): void {
    void this.end(member);
    this.bury(member, `its task ran for more than ${this.options.taskTimeoutMs} ms`);
  }

  private bury(member: Member, reason: string): void {
    const at = this.members.indexOf(member);
    if (at < 0) return;
    this.members.splice(at, 1);
    member.isReady = false;
    clearTimeout(member.timeout);
    member.job?.reject(new TandemError('INTERNAL', `the worker died: ${reason}`));
    if (this.isClosed) return;
    this.options.onRestart(reason);
    this.replaceSoon();
  }

  /** Not while as many as there are to be are still at what they were given up for: they take the processor's time. */
  private replaceSoon(): void {
    setTimeout(() => {
      if (this.isClosed) return;
      // Where the new one dies too, its own exit brings the next attempt.
      if (this.doomed.size <= this.options.workers) this.spawn().catch(() => {});
      else this.replaceSoon();
    }, RESTART_DELAY_MS).unref();
  }
}

function exitOf(worker: Worker): Promise<void> {
  return new Promise((resolve) => worker.once('exit', () => resolve()));
}
