/** What page and worker say to each other: method calls of a Device by id, and their outcomes. */
import type { Crossing, Payload } from '../shared/codec/boundary.ts';
import type { Noise } from '../shared/codec/noise.ts';
import type { ErrorCode } from '../shared/errors.ts';
import type { Plan } from '../shared/plan.ts';
import type { Picture } from '../shared/preprocess/resize.ts';
import type { Advanced, LoadedSegment, Timed } from './device.ts';

/** Arguments and result of each call. */
export interface WorkerCalls {
  create: {
    args: {
      readonly plan: Plan;
      readonly target: string;
      /** Of WebAssembly; more than 1 needs a page that is isolated. */
      readonly threads: number;
      /** Besides WebAssembly. */
      readonly providers: readonly string[];
    };
    /** Whether it can hash. */
    result: boolean;
  };
  /** Its SHA-256, where it can hash. */
  provide: { args: { readonly runtime: Uint8Array<ArrayBuffer> }; result: ArrayBuffer | undefined };
  prepare: { args: null; result: readonly string[] };
  load: { args: { readonly k: number; readonly model: Uint8Array }; result: Timed<LoadedSegment> };
  begin: { args: Picture; result: Timed<Crossing> };
  advance: { args: Crossing; result: Advanced };
  addNoise: { args: { readonly crossing: Crossing; readonly noise: readonly Noise[] }; result: Timed<Crossing> };
  encode: { args: { readonly crossing: Crossing; readonly tier: string }; result: Timed<Payload | null> };
}

export type WorkerMethod = keyof WorkerCalls;

export type WorkerRequest = {
  [M in WorkerMethod]: { readonly id: number; readonly method: M; readonly args: WorkerCalls[M]['args'] };
}[WorkerMethod];

export type WorkerResponse =
  | { readonly type: 'done'; readonly id: number; readonly result: unknown }
  | { readonly type: 'failed'; readonly id: number; readonly code: ErrorCode; readonly message: string };
