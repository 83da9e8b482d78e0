/** onnxruntime-node: the native CPU runtime. Its run() is synchronous; call it on a thread that may block. */
import type { Runtime } from '../shared/runtime.ts';
import { type OrtModule, ortRuntime } from './onnxruntime.ts';

export interface NodeRuntimeOptions {
  /** Threads within one operator. */
  readonly threads: number;
}

export function nodeRuntime(ort: OrtModule, { threads }: NodeRuntimeOptions): Runtime {
  return ortRuntime(ort, `onnxruntime-node ${ort.env.versions.node ?? ort.env.versions.common}`, {
    executionProviders: ['cpu'],
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
    // Only what is fatal is printed: errors are thrown as well.
    logSeverityLevel: 4,
    // Spinning threads take the core from their neighbours, which here are the other workers and the event loop.
    extra: { session: { intra_op: { allow_spinning: '0' } } },
  });
}
