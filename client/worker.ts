/** The browser's worker: onnxruntime-web's plain WebAssembly, which needs no more of a page than a worker and `wasm-unsafe-eval`. */
import * as ort from 'onnxruntime-web/wasm';
import { serveDevice } from './worker-main.ts';

serveDevice(ort);
