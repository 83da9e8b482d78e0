/** What a model will take in the bundle, without packing it: weights of few values at their entropy, the rest as it is. */
import { brotliBytes, FEW_VALUES, SENT_RATIO_MAX } from '../compress/pack-weights.ts';
import { entropy } from '../compress/symbol-counts.ts';
import type { Model } from '../graph/graph.ts';
import { writeModel } from '../onnx/write.ts';

export function storedBytes(model: Model): number {
  let bytes = writeModel(model).byteLength;
  for (const { elementType, bytes: codes } of model.graph.initializers.values()) {
    if (elementType !== 'int8') continue;
    // Of more values they are not packed: 8-bit codes are close to noise.
    if (new Set(codes).size > FEW_VALUES) continue;
    const counts = new Float64Array(256);
    for (const code of codes) counts[code] = (counts[code] as number) + 1;
    const coded = Math.ceil((entropy(counts) / 8) * codes.length);
    if (coded < SENT_RATIO_MAX * brotliBytes(codes)) bytes -= codes.length - coded;
  }
  return bytes;
}
