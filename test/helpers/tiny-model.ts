/**
 * A real ONNX model of a few kilobytes in the style of the OCR one, and a recipe over it. Its layers are spelled as
 * exporters spell them, so that every pass finds work, and one value skips over a cut:
 *
 *   x [N,3,8,W] -> Conv, BatchNorm, hard-swish, affine = stem -> depthwise Conv -> Conv 8:32 -> AveragePool = pooled
 *   [N,32,1,W/2] -> Conv 32:32 = deep -> Concat(pooled, deep) -> Conv 64:16 -> MatMul -> Softmax = scores [N,W/2,16]
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as ort from 'onnxruntime-node';
import {
  type Attribute,
  type Dim,
  float,
  type Graph,
  int,
  ints,
  makeGraph,
  makeNode,
  type ValueInfo,
} from '../../compiler/graph/graph.ts';
import { writeModel } from '../../compiler/onnx/write.ts';
import type { PictureRecipe } from '../../compiler/recipe.ts';
import { scoreText } from '../../models/ocr-line/metric.ts';
import { nodeRuntime } from '../../runtimes/onnxruntime-node.ts';
import type { PictureSteps } from '../../shared/plan.ts';
import { fitPicture } from '../../shared/preprocess/picture.ts';
import { pictureTensor } from '../../shared/preprocess/picture-tensor.ts';
import type { Picture } from '../../shared/preprocess/resize.ts';
import { gaussian, pick, type Random, randomInt, seededRandom } from '../../shared/random.ts';
import { elementCount, float32, type Tensors } from '../../shared/tensor.ts';

/** Boundaries 1..3; the last carries a tensor past its next segment's first layers. */
export const TINY_CUTS = [['stem'], ['pooled'], ['pooled', 'deep']] as const;

const SIZE = { name: 'width', unit: 'px', step: 8, min: 16, max: 128, typical: 32 } as const;
const PREPROCESS: PictureSteps = {
  ...{ type: 'picture', height: 8, channels: 'rgb' },
  ...{ mean: [0.5, 0.5, 0.5], std: [0.25, 0.25, 0.25] },
};

/** The model's file. Another seed gives the same layers with other weights. */
export function tinyModelBytes(seed = 1): Uint8Array {
  const metadata = new Map([['seed', String(seed)]]);
  return writeModel({ graph: tinyGraph(seed), irVersion: 8, opsets: new Map([['', 9]]), producer: 'test', metadata });
}

export interface TinyModel {
  readonly recipe: PictureRecipe;
  /** The source model, as it lies in `recipe.file`. */
  readonly bytes: Uint8Array;
  /** A temporary folder, for bundles too. */
  readonly dir: string;
  /** Removes the folder. */
  remove(): Promise<void>;
}

/** Writes the model into a temporary folder. */
export async function tinyModel(seed = 1): Promise<TinyModel> {
  const dir = await mkdtemp(join(tmpdir(), 'tandem-tiny-'));
  const file = join(dir, 'tiny.onnx');
  const bytes = tinyModelBytes(seed);
  await writeFile(file, bytes);
  return { recipe: tinyRecipe(file, bytes), bytes, dir, remove: () => rm(dir, { recursive: true, force: true }) };
}

function tinyRecipe(file: string, bytes: Uint8Array): PictureRecipe {
  return {
    ...{ name: 'tiny', source: 'test/helpers/tiny-model.ts', file },
    outputs: [
      { name: 'indices', of: 'scores', op: 'argmax', axis: 2 },
      { name: 'probabilities', of: 'scores', op: 'max', axis: 2 },
    ],
    cuts: TINY_CUTS,
    size: SIZE,
    preprocess: PREPROCESS,
    pictures: [
      { format: 'webp', quality: 80 },
      { format: 'jpeg', quality: 85 },
    ],
    ...{ bits: [8, 4], bottlenecks: [], raw: false, assets: {}, committed: undefined },
    noise: (width) => ({
      x: float32(
        [1, 3, 8, width],
        Float32Array.from({ length: 24 * width }, (_, i) => Math.sin(i)),
      ),
    }),
    async *samples(split, count, seed) {
      const session = await nodeRuntime(ort, { threads: 1 }).load(bytes);
      const random = seededRandom(seed * 2 + (split === 'test' ? 1 : 0));
      try {
        for (let i = 0; i < count; i++) {
          const input = tinyPicture(random);
          const x = pictureTensor(fitPicture(input, PREPROCESS, SIZE), PREPROCESS);
          yield { input, truth: bestClasses(await session.run({ x })) };
        }
      } finally {
        await session.release();
      }
    },
    answer: ({ indices }) => lettersOf(Array.from(indices?.data ?? [], Number)),
    metrics: [
      { name: 'exactMatch', isHigherBetter: true },
      { name: 'cer', isHigherBetter: false },
    ],
    judge(outputs, truth) {
      return { truth, predicted: this.answer(outputs) };
    },
    score: (grades) => ({ ...scoreText(grades as readonly { truth: string; predicted: string }[]) }),
  };
}

/** Blocks of 4 x 4 pixels of one colour, at the model's height, 16 to 64 pixels wide. */
export function tinyPicture(random: Random): Picture {
  const [width, height] = [8 * randomInt(random, 2, 8), PREPROCESS.height];
  const colours = Array.from({ length: (width * height) / 16 }, () => [random() * 255, random() * 255, random() * 255]);
  const data = new Uint8ClampedArray(width * height * 4);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const colour = colours[(y >> 2) * (width / 4) + (x >> 2)] as number[];
      data.set([...colour, 255], (y * width + x) * 4);
    }
  }
  return { width, height, data };
}

/** What the whole float model answers: the same as the recipe makes of the reduced outputs. */
function bestClasses({ scores }: Tensors): string {
  const data = [...((scores?.data ?? []) as Float32Array)];
  const steps = Array.from({ length: data.length / 16 }, (_, t) => data.slice(t * 16, (t + 1) * 16));
  return lettersOf(steps.map((step) => step.indexOf(Math.max(...step))));
}

function lettersOf(classes: readonly number[]): string {
  return String.fromCharCode(...classes.map((index) => 'a'.charCodeAt(0) + index));
}

function tinyGraph(seed: number): Graph {
  const random = seededRandom(seed);
  const nodes: Graph['nodes'] = [];
  const initializers: Graph['initializers'] = new Map();
  const constant = (shape: readonly number[], value: () => number) => {
    const data = Float32Array.from({ length: elementCount(shape) }, value);
    return { elementType: 'float32' as const, shape, bytes: new Uint8Array(data.buffer) };
  };
  const layer = (output: string, op: string, inputs: string[], attributes: Record<string, Attribute> = {}) => {
    nodes.push(makeNode(op, inputs, [output], attributes));
    return output;
  };
  const weight = (name: string, shape: number[], value = () => gaussian(random)) => {
    initializers.set(name, constant(shape, value));
    return name;
  };
  /** He et al.'s scale, and a bit, so that what comes out is about as large as what went in. */
  const kernel = (name: string, shape: number[]) => {
    const fanIn = elementCount(shape.slice(1));
    return weight(name, shape, () => gaussian(random) * Math.sqrt(3 / fanIn));
  };
  const scalar = (output: string, value: number) =>
    layer(output, 'Constant', [], { value: { type: 'tensor', value: constant([], () => value) } });
  const hardSwish = (output: string, x: string) => {
    const shifted = layer(`${output}.shifted`, 'Add', [x, scalar(`${output}.3`, 3)]);
    const clipped = layer(`${output}.clipped`, 'Clip', [shifted], { min: float(0), max: float(6) });
    return layer(output, 'Div', [layer(`${output}.product`, 'Mul', [x, clipped]), scalar(`${output}.6`, 6)]);
  };
  const affine = (output: string, x: string) => {
    const scaled = layer(`${output}.scaled`, 'Mul', [x, scalar(`${output}.a`, 0.5 + random())]);
    return layer(output, 'Add', [scaled, scalar(`${output}.b`, random() - 0.5)]);
  };
  const padded = { kernel_shape: ints([3, 3]), pads: ints([1, 1, 1, 1]) };

  const positive = () => pick(random, [0.5, 1, 1.5]);
  const norm = [
    weight('bn.scale', [8], positive),
    weight('bn.b', [8]),
    weight('bn.mean', [8]),
    weight('bn.var', [8], positive),
  ];
  layer('conv0', 'Conv', ['x', kernel('w0', [8, 3, 3, 3])], padded);
  layer('norm0', 'BatchNormalization', ['conv0', ...norm], { epsilon: float(1e-3) });
  affine('stem', hardSwish('swish0', 'norm0'));
  layer('depthwise', 'Conv', ['stem', kernel('w1', [8, 1, 3, 3])], { ...padded, group: int(8) });
  layer('wide', 'Conv', [affine('moved', 'depthwise'), kernel('w2', [32, 8, 1, 1]), weight('b2', [32])]);
  const pool = { kernel_shape: ints([8, 2]), strides: ints([8, 2]) };
  layer('pooled', 'AveragePool', [hardSwish('swish2', 'wide')], pool);
  hardSwish('deep', layer('conv3', 'Conv', ['pooled', kernel('w3', [32, 32, 1, 1])]));
  layer('joined', 'Concat', ['pooled', 'deep'], { axis: int(1) });
  layer('classes', 'Conv', ['joined', kernel('w4', [16, 64, 1, 1])]);
  layer('row', 'Squeeze', ['classes'], { axes: ints([2]) });
  layer('steps', 'Transpose', ['row'], { perm: ints([0, 2, 1]) });
  layer('logits', 'MatMul', ['steps', kernel('w5', [16, 16])]);
  layer('scores', 'Softmax', ['logits'], { axis: int(2) });

  const edge = (name: string, shape: Dim[]): ValueInfo => ({ name, elementType: 'float32', shape });
  const inputs = [edge('x', ['batch', 3, 8, 'width'])];
  return makeGraph({ name: 'tiny', inputs, outputs: [edge('scores', ['batch', 'steps', 16])], nodes, initializers });
}
