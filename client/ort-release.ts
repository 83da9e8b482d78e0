/** The files of the onnxruntime-web release that the SDK is built with: `npm test` compares them with the package. */
import type { RuntimeFile } from './runtime-file.ts';

const OF = 'onnxruntime-web 1.30.0';

export const ORT_WASM: Omit<RuntimeFile, 'url'> = {
  of: OF,
  bytes: 14_239_897,
  sha256: '3398c10d07d229bd91b364548e130e0e51a8e5704b88c7c083ebbeb78842dee2',
};
