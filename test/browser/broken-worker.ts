/** A worker with a provider that is fast and wrong: what some graphics drivers were seen to be. */
import * as ort from 'onnxruntime-web/wasm';
import { serveDevice } from '../../client/worker-main.ts';
import { ortRuntime } from '../../runtimes/onnxruntime.ts';
import { float32, type Tensor, type Tensors } from '../../shared/tensor.ts';

const right = ortRuntime(ort, 'broken', { executionProviders: ['wasm'] });
serveDevice(ort, () => [
  {
    ...{ name: 'broken', takesIntegers: true },
    runtime: {
      name: 'broken',
      async load(model) {
        const session = await right.load(model);
        return { ...session, run: async (feeds) => shifted(await session.run(feeds)) };
      },
    },
  },
]);

function shifted(tensors: Tensors): Tensors {
  const entries = Object.entries(tensors).map(([name, tensor]): [string, Tensor] => {
    const values = Array.from<number | bigint, number>(tensor.data, (value) => Number(value) + 1);
    return [name, tensor.dtype === 'float32' ? float32(tensor.shape, Float32Array.from(values)) : tensor];
  });
  return Object.fromEntries(entries);
}
