/** All on the device with plain onnxruntime-web, on the page's own thread as its first example has it. `?FILE` is the model. */
import * as ort from 'onnxruntime-web/wasm';
import { decodeCtc, parseCharset } from '../../models/ocr-line/ctc.ts';
import { fitPicture } from '../../shared/preprocess/picture.ts';
import { pictureTensor } from '../../shared/preprocess/picture-tensor.ts';
import { bestClasses } from './best-classes.ts';
import { task, visit } from './page.ts';

visit(async () => {
  // Begun together: one after another would be slower.
  const model = fetch(location.search.slice(1)).then((response) => response.arrayBuffer());
  const list = fetch('charset.txt').then((response) => response.text());
  ort.env.wasm.numThreads = 1;
  ort.env.wasm.wasmPaths = { wasm: new URL('ort-wasm-simd-threaded.wasm', location.href).href };
  // What is loaded at the first session is loaded at once with this.
  const session = await ort.InferenceSession.create(await model, { executionProviders: ['wasm'] });
  const charset = parseCharset(await list);
  return {
    async read(canvas) {
      const pixels = canvas.getContext('2d')?.getImageData(0, 0, canvas.width, canvas.height) as ImageData;
      const { shape, data } = pictureTensor(fitPicture(pixels, task.preprocess, task.size), task.preprocess);
      const x = new ort.Tensor('float32', data as Float32Array, shape);
      const { indices, probabilities } = bestClasses(await session.run({ x }));
      return { text: decodeCtc(indices, probabilities, charset).text, k: null };
    },
    settled: async () => {},
    segmentsAtMs: [],
  };
});
