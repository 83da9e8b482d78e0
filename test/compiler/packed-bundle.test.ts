/** A model whose weights have few values, from compiling to serving: its device segments are packed wherever they lie. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { brotliDecompressSync } from 'node:zlib';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { anyModelRecipe, verify } from '../../compiler/index.ts';
import { writeModelFile } from '../../compiler/onnx/files.ts';
import type { ModelRecipe } from '../../compiler/recipe.ts';
import { folderSource } from '../../runtimes/bundle-folder.ts';
import { loadStore } from '../../server/store.ts';
import { unpackModel } from '../../shared/codec/weights.ts';
import type { Plan } from '../../shared/plan.ts';
import { randomInt, seededRandom } from '../../shared/random.ts';
import { elementCount } from '../../shared/tensor.ts';
import { type TinyModel, tinyModel } from '../helpers/tiny-model.ts';
import { compileTiny, isStoredInt8 } from './compile-tiny.ts';
import { modelOf } from './run-graph.ts';
import { graphOf } from './text-graph.ts';

vi.setConfig({ hookTimeout: 60_000, testTimeout: 60_000 });

let tiny: TinyModel;
let recipe: ModelRecipe;
let plan: Plan;
let out: string;
beforeAll(async () => {
  tiny = await tinyModel();
  const path = join(tiny.dir, 'few.onnx');
  writeModelFile(fewValued(), path);
  recipe = await anyModelRecipe(path, { cuts: [['h']], dims: { sizes: {}, shapes: {} } });
  plan = (await compileTiny(tiny, 'packed', () => 1, { recipe })).plan;
  out = join(tiny.dir, 'packed');
});
afterAll(() => tiny.remove());

/** Weights of -1, 0 and 1 times a scale: in 8 bits they are -127, 0 and 127. The second segment's are any. */
function fewValued() {
  const graph = graphOf(
    'in x [1,64,4,4]\nconst w [128,64,1,1]\nconst v [64,128,1,1]\nh = Conv(x, w)\ny = Conv(h, v)\nout y',
  );
  const shape = [128, 64, 1, 1];
  const random = seededRandom(7);
  const data = Float32Array.from({ length: elementCount(shape) }, () => 0.1 * randomInt(random, -1, 1));
  graph.initializers.set('w', { elementType: 'float32', shape, bytes: new Uint8Array(data.buffer) });
  return modelOf(graph);
}

test('a bundle has a segment packed where that pays, and says so in its plan', async () => {
  const [few, any] = plan.segments.map(({ targets }) => targets['node']);
  expect(few).toMatchObject({ file: '1.node.packed', recipe: 'w8 x 1', encoding: 'packed' });
  expect(any).toMatchObject({ file: '2.node.onnx', recipe: 'w8 x 1' });
  expect(any).not.toHaveProperty('encoding');
  const file = await readFile(join(out, '1.node.packed'));
  expect(file.length).toBe(few?.bytes);
  expect(isStoredInt8(unpackModel(file))).toBe(true);
  // 8,192 weights of log2(3) bits, instead of a byte each; a table of 255 codes, a class a channel, the head.
  expect(unpackModel(file).length - file.length).toBeGreaterThan(8192 * (1 - Math.log2(3) / 8) - (510 + 128 + 50));
});

test('its chain is the whole', async () => {
  expect(await verify(recipe, out, { samples: 2 })).toMatchObject({ holds: true });
});

test('its report has what packing saved', async () => {
  const page = await readFile(join(out, 'report.html'), 'utf8');
  const data = JSON.parse(/<script type="application\/json" id="data">(.*)<\/script>/.exec(page)?.[1] ?? '');
  const [few, any] = data.sizes;
  expect(few).toMatchObject({ target: 'node', segment: 1, float: plan.segments[0]?.server.bytes });
  expect(few.stored).toBe(plan.segments[0]?.targets['node']?.bytes);
  expect(few.quantized).toBe(unpackModel(await readFile(join(out, '1.node.packed'))).length);
  expect(few.sent).toBeLessThan(0.95 * few.sentUnpacked);
  expect(any.stored).toBe(any.quantized);
  expect(any.sent).toBe(any.sentUnpacked);
});

test('a gateway sends what is packed as it is stored, with brotli over the rest', async () => {
  const store = await loadStore([folderSource(out)], String);
  const few = plan.segments[0]?.targets['node'];
  const { identity, encodings } = store.get(plan.name)?.files.get(few?.sha256 ?? '') ?? {};
  expect(identity).toHaveLength(few?.bytes ?? 0);
  expect(encodings?.br?.length).toBeLessThan(few?.bytes ?? 0);
  expect(Buffer.compare(brotliDecompressSync(encodings?.br ?? ''), identity ?? new Uint8Array())).toBe(0);
});
