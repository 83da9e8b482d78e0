/**
 * onnxruntime-node in several threads at once: every model is loaded in each, a call goes to the one that has least to do.
 * For many samples through the same models; what a call takes says nothing of the model's own time.
 */
import { Worker } from 'node:worker_threads';
import { TandemError } from '../shared/errors.ts';
import type { Runtime } from '../shared/runtime.ts';
import type { Tensors } from '../shared/tensor.ts';
import type { ThreadCall, ThreadReply, ThreadRequest, ThreadSession } from './node-thread.ts';

/** Node's threads take no TypeScript: from the sources, which tests run, what was built of them is taken. */
const SCRIPT = import.meta.url.endsWith('.ts') ? '../dist/runtimes/node-thread.js' : './node-thread.js';

export interface ParallelRuntime {
  readonly runtime: Runtime;
  /** Ends the threads: sessions are gone with them. */
  close(): Promise<void>;
}

export function parallelRuntime(threads: number): ParallelRuntime {
  const pool = Array.from({ length: threads }, () => new Thread());
  let sessions = 0;
  const runtime: Runtime = {
    name: `onnxruntime-node, ${threads} at a time`,
    async load(model) {
      const session = ++sessions;
      const [told] = await Promise.all(
        pool.map((thread) => thread.call<ThreadSession>({ type: 'load', session, model })),
      );
      return {
        ...(told as ThreadSession),
        run: (feeds) => leastBusy(pool).call<Tensors>({ type: 'run', session, feeds }),
        async release() {
          await Promise.all(pool.map((thread) => thread.call({ type: 'release', session })));
        },
      };
    },
  };
  return {
    runtime,
    async close() {
      await Promise.all(pool.map((thread) => thread.close()));
    },
  };
}

function leastBusy(pool: readonly Thread[]): Thread {
  return pool.reduce((best, thread) => (thread.waiting.size < best.waiting.size ? thread : best));
}

class Thread {
  readonly waiting = new Map<number, { resolve(value: unknown): void; reject(error: unknown): void }>();
  /** Started when it is first asked for something. */
  private worker: Worker | undefined;
  private lastId = 0;

  call<T>(call: ThreadCall): Promise<T> {
    this.worker ??= this.start();
    const id = ++this.lastId;
    const { worker } = this;
    return new Promise<T>((resolve, reject) => {
      worker.postMessage({ ...call, id } satisfies ThreadRequest);
      worker.ref();
      this.waiting.set(id, { resolve: resolve as (value: unknown) => void, reject });
    });
  }

  async close(): Promise<void> {
    await this.worker?.terminate();
  }

  private start(): Worker {
    const worker = new Worker(new URL(SCRIPT, import.meta.url));
    // A process that has nothing else to do ends.
    worker.unref();
    worker.on('message', (reply: ThreadReply) => {
      const waiting = this.waiting.get(reply.id);
      this.waiting.delete(reply.id);
      if (this.waiting.size === 0) worker.unref();
      if ('error' in reply) waiting?.reject(new TandemError(reply.error.code, reply.error.message));
      else waiting?.resolve(reply.value);
    });
    const fail = (reason: string) => {
      // An error is followed by an exit, when another thread may have begun already.
      if (this.worker !== worker) return;
      this.worker = undefined;
      for (const { reject } of this.waiting.values()) reject(new TandemError('INTERNAL', `a thread ended: ${reason}`));
      this.waiting.clear();
    };
    worker.on('error', (error) => fail(error.message));
    worker.on('exit', (code) => fail(`exit code ${code}`));
    return worker;
  }
}
