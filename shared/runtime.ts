/**
 * What Tandem asks of an inference engine, and nothing more. The core takes a Runtime as an argument; which engine it
 * is (onnxruntime in Node, in the browser, or something else) is decided in entry files.
 */
import type { Tensors } from './tensor.ts';

export interface Runtime {
  /** Name and version, for plans, logs and `route` explanations: `onnxruntime-node 1.30.0`. */
  readonly name: string;
  /**
   * Compiles one ONNX model. Rejects with TandemError BAD_MODEL where the engine cannot take it.
   * @param external weights that the model says lie beside it; engines that models of 2 GB never reach need not take any
   */
  load(model: Uint8Array, external?: readonly ExternalData[]): Promise<Session>;
}

export interface ExternalData {
  /** As the model names it. */
  readonly path: string;
  readonly data: Uint8Array;
}

/** One loaded model. `run` may be called again before it resolved; an engine may serialise the calls. */
export interface Session {
  readonly inputNames: readonly string[];
  readonly outputNames: readonly string[];
  /** What the engine knows of its outputs before it has run; absent where it does not tell. */
  readonly outputTypes?: readonly OutputType[];
  /** Every declared input must be in `feeds`; extra entries are ignored. Gives every declared output. */
  run(feeds: Tensors): Promise<Tensors>;
  /** The same with its milliseconds, by an engine that is elsewhere: the way there is not counted. */
  readonly runTimed?: (feeds: Tensors) => Promise<{ readonly outputs: Tensors; readonly ms: number }>;
  release(): Promise<void>;
}

export interface OutputType {
  readonly name: string;
  /** ONNX element type in lower case; undefined for what is no tensor. */
  readonly elementType: string | undefined;
  /** A number, the name of a symbolic dimension, or null where it is not known. Also [] where the rank is not known. */
  readonly shape: readonly (number | string | null)[];
}
