/** All on the device with Transformers.js, as its own examples have it; only its files come from the page's own origin. */
import { AutoModel, env, Tensor } from '@huggingface/transformers';
import { decodeCtc, parseCharset } from '../../models/ocr-line/ctc.ts';
import { fitPicture } from '../../shared/preprocess/picture.ts';
import { pictureTensor } from '../../shared/preprocess/picture-tensor.ts';
import { bestClasses } from './best-classes.ts';
import { task, visit } from './page.ts';

const ENGINE = 'ort-wasm-simd-threaded.asyncify';

visit(async () => {
  const here = (file: string) => new URL(file, location.href).href;
  const list = fetch('charset.txt').then((response) => response.text());
  env.allowLocalModels = true;
  env.allowRemoteModels = false;
  env.localModelPath = here('.');
  const { wasm } = env.backends.onnx;
  wasm.numThreads = 1;
  wasm.wasmPaths = { wasm: here(`${ENGINE}.wasm`), mjs: here(`${ENGINE}.mjs`) };
  // Its own defaults for WebAssembly.
  const model = await AutoModel.from_pretrained('ocr-line', { device: 'wasm', dtype: 'q8' });
  const charset = parseCharset(await list);
  return {
    async read(canvas) {
      const pixels = canvas.getContext('2d')?.getImageData(0, 0, canvas.width, canvas.height) as ImageData;
      const { shape, data } = pictureTensor(fitPicture(pixels, task.preprocess, task.size), task.preprocess);
      const { indices, probabilities } = bestClasses(await model({ x: new Tensor('float32', data, shape) }));
      return { text: decodeCtc(indices, probabilities, charset).text, k: null };
    },
    settled: async () => {},
    segmentsAtMs: [],
  };
});
