/** A worker in which WebGPU is the fastest, for WebAssembly is made slow, and whose graphics adapter a test can take away. */
import type { InferenceSession } from 'onnxruntime-common';
import * as ort from 'onnxruntime-web/webgpu';
import { serveDevice } from '../../client/worker-main.ts';
import { ortRuntime } from '../../runtimes/onnxruntime.ts';

/** More than a segment takes on an adapter in software. */
const SLOW_MS = 2_000;
let isSlow = true;

const create = async (model: Uint8Array, options?: InferenceSession.SessionOptions) => {
  const session = await ort.InferenceSession.create(model, options);
  if (!options?.executionProviders?.includes('wasm')) return session;
  const run = session.run.bind(session) as (feeds: InferenceSession.FeedsType) => ReturnType<InferenceSession['run']>;
  const slowRun = async (feeds: InferenceSession.FeedsType) => {
    if (isSlow) await new Promise((resolve) => setTimeout(resolve, SLOW_MS));
    return run(feeds);
  };
  return Object.assign(session, { run: slowRun });
};

serveDevice({ ...ort, InferenceSession: { create } }, () => [
  { name: 'webgpu', runtime: ortRuntime(ort, 'webgpu', { executionProviders: ['webgpu'] }), takesIntegers: true },
]);

Object.assign(globalThis, {
  async loseAdapter() {
    isSlow = false;
    const device = (await ort.env.webgpu.device) as unknown as { destroy(): void };
    device.destroy();
  },
});
