/** onnxruntime-web, its plain WebAssembly build: browsers, workers, and Node where the device is to be imitated. */
import type { Env } from 'onnxruntime-common';
import type { Runtime } from '../shared/runtime.ts';
import { type OrtModule, ortRuntime } from './onnxruntime.ts';

export interface WebRuntimeOptions {
  /** More than 1 needs a page that is cross-origin isolated; without it onnxruntime falls back to 1. */
  readonly threads: number;
  /** The bytes of ort-wasm-simd-threaded.wasm, or undefined to let onnxruntime find them beside itself. */
  readonly wasmBinary?: ArrayBuffer | undefined;
}

/** Settings are process-wide in onnxruntime-web and fixed at the first load: one such runtime a page or worker. */
export function webRuntime(ort: OrtModule & { readonly env: Env }, options: WebRuntimeOptions): Runtime {
  ort.env.wasm.numThreads = options.threads;
  if (options.wasmBinary) ort.env.wasm.wasmBinary = options.wasmBinary;
  ort.env.logLevel = 'error';
  return ortRuntime(ort, `onnxruntime-web ${ort.env.versions.web ?? ort.env.versions.common}`, {
    executionProviders: ['wasm'],
  });
}
