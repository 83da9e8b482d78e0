/** Real models with bytes flipped, cut out, doubled and cut off: read, or refused with a code; never a crash or a hang. */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { realModels } from '../../../bench/real-models.ts';
import { legalBoundaries } from '../../../compiler/cut/boundaries.ts';
import { extractChain } from '../../../compiler/cut/extract.ts';
import { flowOf } from '../../../compiler/cut/flow.ts';
import { verifyGraph } from '../../../compiler/graph/verify.ts';
import { readModel } from '../../../compiler/onnx/read.ts';
import { writeModel } from '../../../compiler/onnx/write.ts';
import { liftConstants } from '../../../compiler/passes/lift-constants.ts';
import { TandemError } from '../../../shared/errors.ts';
import { type Random, randomInt, seededRandom } from '../../../shared/random.ts';

const MODELS = [
  'melspectrogram.onnx',
  'hey_rhasspy_v0.1.onnx',
  'ch_ppocr_mobile_v2.0_cls_infer.onnx',
  'silero_vad_v5.onnx',
];
const MUTATIONS = 250;
/** Structure is where names, shapes and operators stand: mostly not among the weights, which are most of a file. */
const STRUCTURE_BYTES = 20_000;

function mutate(original: Uint8Array, random: Random): Uint8Array {
  const at = () =>
    random() < 0.5
      ? randomInt(random, 0, original.length - 1)
      : Math.min(original.length - 1, randomInt(random, 0, STRUCTURE_BYTES));
  const [start, length] = [at(), randomInt(random, 1, 64)];
  switch (randomInt(random, 0, 3)) {
    case 0: {
      const bytes = Uint8Array.from(original);
      for (let i = 0; i < 4; i++) {
        const place = at();
        bytes[place] = (bytes[place] as number) ^ (1 << randomInt(random, 0, 7));
      }
      return bytes;
    }
    case 1:
      return original.slice(0, start);
    case 2:
      return Buffer.concat([original.subarray(0, start), original.subarray(start + length)]);
    default:
      return Buffer.concat([original.subarray(0, start + length), original.subarray(start)]);
  }
}

/** All that the compiler does to a model before it runs it. */
function process(bytes: Uint8Array): void {
  const model = readModel(bytes, 'm.onnx');
  verifyGraph(model.graph, 'm.onnx');
  liftConstants(model.graph);
  const { legal } = legalBoundaries(flowOf(model.graph), 1);
  const [first] = legal;
  const { segments } = extractChain(model.graph, first ? [first.tensors] : []);
  for (const { graph } of segments) writeModel({ ...model, graph });
}

describe('a thousand broken models', () => {
  test.each(MODELS)(
    'made of %s are read or refused with a code',
    (name) => {
      const original = readFileSync(realModels().find((model) => model.name === name)?.path as string);
      const random = seededRandom(4711);
      const outcomes = new Map<string, number>();
      for (let i = 0; i < MUTATIONS; i++) {
        let outcome = 'read';
        try {
          process(mutate(original, random));
        } catch (error) {
          if (!(error instanceof TandemError)) throw error;
          outcome = error.code;
        }
        outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
      }
      for (const code of outcomes.keys()) expect(['read', 'BAD_MODEL', 'UNSUPPORTED', 'BAD_CUT']).toContain(code);
      // Both happen: most flips are in weights, most cuts are in the middle of something.
      expect(outcomes.get('read')).toBeGreaterThan(10);
      expect(outcomes.get('BAD_MODEL')).toBeGreaterThan(50);
    },
    60_000,
  );
});
