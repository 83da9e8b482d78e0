/**
 * Bytes and accuracy of everything that can be sent, on the same lines: each (k, tier) of the plan with the compressed
 * head in wasm, beside the photo itself as a JPEG, which is what one would send without Tandem.
 */
import * as ortNode from 'onnxruntime-node';
import * as ortWeb from 'onnxruntime-web';
import sharp from 'sharp';
import { measureAccuracy } from '../compiler/measure/accuracy.ts';
import { nodeRuntime } from '../runtimes/onnxruntime-node.ts';
import { webRuntime } from '../runtimes/onnxruntime-web.ts';
import { sharpPictures } from '../runtimes/pictures-sharp.ts';
import { boundaryCodec } from '../shared/codec/boundary.ts';
import type { Picture } from '../shared/preprocess/resize.ts';
import { bundleFile, demoBundle, notNeeded } from './bundle.ts';

const SAMPLES = Number(process.argv[2] ?? 150);
/** Another one than the committed measurements have: other lines. */
const SEED = 2;

const { plan, recipe } = await demoBundle();
const pictures = sharpPictures(sharp);
const server = nodeRuntime(ortNode, { threads: 1 });
const wasm = webRuntime(ortWeb, { threads: 1 });
const load = async (runtime: typeof server, files: readonly string[]) =>
  Promise.all(files.map(async (file) => runtime.load(await bundleFile(file))));
const { accuracy } = await measureAccuracy({
  split: 'test',
  plan,
  recipe,
  codec: boundaryCodec(plan, pictures),
  server: await load(
    server,
    plan.segments.map((segment) => segment.server.file),
  ),
  devices: new Map([
    [
      'wasm',
      await load(
        wasm,
        plan.segments.map(({ targets }) => targets['wasm']?.file ?? ''),
      ),
    ],
  ]),
  samples: SAMPLES,
  seed: SEED,
  now: () => performance.now(),
  progress: ({ done, total }) => {
    if (process.stderr.isTTY) process.stderr.write(`\rboundaries: ${done} of ${total} lines `);
  },
});
let photoBytes = 0;
for await (const { input } of recipe.samples('test', SAMPLES, SEED, notNeeded)) {
  photoBytes += (await pictures.encode(input as Picture, 'jpeg', 85))?.byteLength ?? 0;
}
process.stdout.write(
  `${JSON.stringify({ samples: SAMPLES, seed: SEED, photoBytes: photoBytes / SAMPLES, accuracy })}\n`,
);
process.exit();
