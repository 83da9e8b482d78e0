/** The worker for pages that ask for more than WebAssembly: onnxruntime-web's larger build, with WebGPU and WebNN. */
import * as ort from 'onnxruntime-web/webgpu';
import { ortRuntime } from '../runtimes/onnxruntime.ts';
import { serveDevice } from './worker-main.ts';

serveDevice(ort, (names) =>
  names.map((name) => ({
    name,
    runtime: ortRuntime(ort, name, { executionProviders: [name] }),
    takesIntegers: false,
  })),
);
