/**
 * What runs a tail. The gateway decides whether and when; an executor decodes a boundary and runs segments k+1..K,
 * here on worker threads, elsewhere on a remote engine.
 */
import type { Payload } from '../shared/codec/boundary.ts';
import type { Tensors } from '../shared/tensor.ts';

export interface Task {
  readonly planId: string;
  readonly k: number;
  readonly tier: string;
  readonly payload: Payload;
}

export interface TaskResult {
  readonly outputs: Tensors;
  readonly decodeMs: number;
  readonly computeMs: number;
}

/** What an executor that has tasks wait tells of one, and asks. */
export interface Call {
  /** Whether anybody still waits for it; asked before it begins. */
  isWanted(): boolean;
  /** Called as it begins. */
  begin(): void;
}

export interface Executor {
  /** Tasks that run at the same time; the gateway hands over no more. */
  readonly concurrency: number;
  /** Rejects with the TandemError of a bad payload, or with INTERNAL where the executor itself failed. */
  run(task: Task, call?: Call): Promise<TaskResult>;
  /** Whether it can take tasks now. */
  readonly isReady: boolean;
  close(): Promise<void>;
}
