/** The whole model as one file with its weights in 8 bits: what a team would quantize for the device, were it to run all there. */
import * as ort from 'onnxruntime-node';
import { segmentCompressor } from '../../compiler/compress/compress-segment.ts';
import { storedLayersOf } from '../../compiler/compress/layers.ts';
import { twoSizes } from '../../compiler/cut/boundary-specs.ts';
import { buildProvenChain } from '../../compiler/cut/proven-chain.ts';
import { writeModel } from '../../compiler/onnx/write.ts';
import { prepareModel, readSourceBytes } from '../../compiler/prepare.ts';
import type { ModelRecipe } from '../../compiler/recipe.ts';
import { literalRuntime } from '../../compiler/runtimes.ts';
import { nodeRuntime } from '../../runtimes/onnxruntime-node.ts';
import type { Tensors } from '../../shared/tensor.ts';

export async function weightsIn8Bits(recipe: ModelRecipe): Promise<Uint8Array> {
  const runtime = nodeRuntime(ort, { threads: 1 });
  const source = await prepareModel(await readSourceBytes(recipe), recipe, runtime);
  const chain = await buildProvenChain(source, [], runtime, twoSizes(recipe.size).map(recipe.noise));
  const [whole] = chain.segments;
  if (!whole) throw new Error('expected one segment where nothing is cut');
  const { model } = whole;
  async function* samples(): AsyncIterable<Tensors> {
    yield recipe.noise(recipe.size.typical);
  }
  const compress = segmentCompressor(
    { model, samples, runtime, literal: literalRuntime() },
    { samples: 1, mayLackVnni: false },
  );
  return writeModel(
    await compress({ layers: Object.fromEntries(storedLayersOf(model.graph).map(({ name }) => [name, 'w8'])) }),
  );
}
