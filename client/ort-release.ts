/** The files of the onnxruntime-web release that the SDK is built with: a test compares them with the package. */
import type { RuntimeFile } from './runtime-file.ts';

type ReleaseFile = Omit<RuntimeFile, 'url'>;

const OF = 'onnxruntime-web 1.30.0';
/** Of the plain file, and of the one with WebGPU and WebNN. */
const RELEASE = [
  '3398c10d07d229bd91b364548e130e0e51a8e5704b88c7c083ebbeb78842dee2',
  '39f9f0894d478800487ed9f7dbe92618498db320cf55c8e3d89adff8dce658da',
] as const;

/** ort-wasm-simd-threaded.wasm. */
export const ORT_WASM: ReleaseFile = { of: OF, bytes: 14_239_897, sha256: RELEASE[0], release: RELEASE };

/** ort-wasm-simd-threaded.asyncify.wasm, with WebGPU and WebNN. */
export const ORT_ACCELERATED: ReleaseFile = { of: OF, bytes: 26_781_914, sha256: RELEASE[1], release: RELEASE };
