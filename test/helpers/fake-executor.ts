/** An executor whose tasks end when the test says so. */

import type { Call, Executor, Task, TaskResult } from '../../server/executor.ts';
import { TandemError } from '../../shared/errors.ts';
import { float32 } from '../../shared/tensor.ts';

export class FakeExecutor implements Executor {
  readonly concurrency: number;
  readonly isReady = true;
  /** Every task that was ever handed over. */
  readonly seen: Task[] = [];
  private readonly open: { resolve(result: TaskResult): void; reject(error: unknown): void }[] = [];

  constructor(concurrency = 1) {
    this.concurrency = concurrency;
  }

  run(task: Task, call?: Call): Promise<TaskResult> {
    call?.begin();
    this.seen.push(task);
    return new Promise((resolve, reject) => this.open.push({ resolve, reject }));
  }

  /** Ends the task that has run longest, with an output y of these values. */
  finish(values: ArrayLike<number> = [1]): void {
    const y = float32([1, values.length], Float32Array.from(values));
    this.open.shift()?.resolve({ outputs: { y }, decodeMs: 1, computeMs: 2 });
  }

  fail(error: unknown = new TandemError('BAD_PAYLOAD', 'cannot be decoded')): void {
    this.open.shift()?.reject(error);
  }

  async close(): Promise<void> {}
}
