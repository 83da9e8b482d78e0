/** The cloud's half as a test wants it: an executor behind the real gateway that runs no model. */

import type { Executor, Task, TaskResult } from '../../server/executor.ts';
import type { Clock } from '../../shared/clock.ts';
import { type BoundaryCodec, boundaryCodec } from '../../shared/codec/boundary.ts';
import { type ErrorCode, TandemError } from '../../shared/errors.ts';
import type { Plan } from '../../shared/plan.ts';
import type { Tensors } from '../../shared/tensor.ts';
import { pause } from '../pause.ts';
import type { Asked } from './answer.ts';
import { fakePictures } from './fake-pictures.ts';

/** A request as it came over the wire. */
export interface Received {
  /** The boundary that was sent, and how it was encoded. */
  readonly k: number;
  readonly tier: string;
  readonly label: string;
  /** What was left of it. */
  readonly deadlineMs: number;
  /** The caller's `traceparent`. */
  readonly trace: string | null;
  /** Of the boundary's tensors. */
  readonly shapes: readonly (readonly number[])[];
  /** Of the whole frame. */
  readonly bytes: number;
}

export interface FakeCloud {
  /** Every request that came, in order: what has left the device. */
  readonly received: readonly Received[];
  /** What each answer takes, in milliseconds of the fake clock. */
  msPerAnswer: number;
  /** Keeps answers back, those of requests to come too, until they are released. */
  hold(): void;
  /** Lets the answers go that were kept back. */
  release(): void;
  /**
   * Answers with an error from now on, those that were kept back too; null ends that. Clients go on without the cloud where
   * they can, and ask it again after a while where the code is one that may pass.
   * @param retryAfterMs when the gateway asks to be asked again
   */
  failWith(code: ErrorCode | null, retryAfterMs?: number): void;
}

export class FakeExecutor implements FakeCloud, Executor {
  readonly concurrency = 8;
  readonly isReady = true;
  readonly received: Received[] = [];
  msPerAnswer = 0;
  private failure: { readonly code: ErrorCode; readonly retryAfterMs: number | undefined } | null = null;
  private held: (() => void)[] | null = null;
  private readonly clock: Clock;
  private readonly codec: BoundaryCodec;
  private readonly answer: (asked: Asked) => Tensors;

  constructor(plan: Plan, clock: Clock, answer: (asked: Asked) => Tensors) {
    this.clock = clock;
    this.answer = answer;
    this.codec = boundaryCodec(plan, fakePictures());
  }

  hold(): void {
    this.held ??= [];
  }

  release(): void {
    const held = this.held ?? [];
    this.held = null;
    for (const go of held) go();
  }

  failWith(code: ErrorCode | null, retryAfterMs?: number): void {
    this.failure = code && { code, retryAfterMs };
  }

  async run({ k, tier, payload }: Task): Promise<TaskResult> {
    const { size } = await this.codec.decode(k, tier, payload);
    const { msPerAnswer } = this;
    if (msPerAnswer > 0) await pause(this.clock, msPerAnswer, new AbortController().signal);
    if (this.held) await new Promise<void>((resolve) => this.held?.push(resolve));
    if (this.failure) {
      const { code, retryAfterMs } = this.failure;
      throw new TandemError(code, 'the test said so', { retryAfterMs });
    }
    return { outputs: this.answer({ by: 'cloud', k, size }), decodeMs: 0, computeMs: msPerAnswer };
  }

  async close(): Promise<void> {}
}
