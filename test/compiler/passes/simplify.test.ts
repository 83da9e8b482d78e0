import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { verifyGraph } from '../../../compiler/graph/verify.ts';
import { readModel } from '../../../compiler/onnx/read.ts';
import { simplify } from '../../../compiler/passes/index.ts';
import { tinyModelBytes } from '../../helpers/tiny-model.ts';
import { expectSameOutputs } from '../run-graph.ts';
import { graphOf, textOf } from '../text-graph.ts';

/** One layer as text: reads `x`, makes `y`; tells how many channels come out. */
interface Layer {
  readonly lines: (i: number, channels: number) => string;
  readonly channels?: number;
}

const pads = fc.constantFrom('', ' pads=[1,1,1,1]', ' pads=[0,1,0,0]', ' auto_pad=SAME_UPPER');
const number = fc.constantFrom('2', '0.5', '-1', '1', '0', '3');
const factor = fc.constantFrom('2', '0.5', '-1', '1');

const conv = fc
  .record({
    kernel: fc.constantFrom(1, 2, 3),
    groups: fc.constantFrom(1, 2, 4),
    out: fc.constantFrom(4, 8),
    pads,
    bias: fc.boolean(),
  })
  .map(
    ({ kernel, groups, out, pads, bias }): Layer => ({
      channels: out,
      lines: (i, channels) => `
      const w${i} [${out},${channels / groups},${kernel},${kernel}]
      const b${i} [${out}]
      v${i} = Conv(v${i - 1}, w${i}${bias ? `, b${i}` : ''}) group=${groups}${pads}`,
    }),
  );
const norm = fc.constant<Layer>({
  lines: (i, channels) => {
    const list = (value: (c: number) => number) => Array.from({ length: channels }, (_, c) => value(c)).join(' ');
    return `
      const s${i} [${channels}] = ${list((c) => (c % 3) - 1.5)}
      const m${i} [${channels}]
      const r${i} [${channels}] = ${list((c) => 0.5 + (c % 2))}
      v${i} = BatchNormalization(v${i - 1}, s${i}, m${i}, m${i}, r${i})`;
  },
});
const scalarMap = fc
  .oneof(fc.tuple(fc.constantFrom('Mul', 'Div'), factor), fc.tuple(fc.constantFrom('Add', 'Sub'), number))
  .map(([op, value]): Layer => ({ lines: (i) => `v${i} = ${op}(v${i - 1}, ${value})` }));
const channelMap = fc.tuple(fc.constantFrom('Mul', 'Add', 'Sub'), fc.constantFrom('1,', '')).map(
  ([op, batch]): Layer => ({
    lines: (i, channels) => `const c${i} [${batch}${channels},1,1]\nv${i} = ${op}(v${i - 1}, c${i})`,
  }),
);
const constantNode = number.map(
  (value): Layer => ({ lines: (i) => `k${i} = Constant() value={${value}}\nv${i} = Add(k${i}, v${i - 1})` }),
);
const hardSwish = fc.constant<Layer>({
  lines: (i) => `
    s${i} = Add(v${i - 1}, 3)
    t${i} = Clip(s${i}) min=0.0 max=6.0
    u${i} = Mul(v${i - 1}, t${i})
    v${i} = Div(u${i}, 6)`,
});
const relu = fc.constant<Layer>({ lines: (i) => `v${i} = Relu(v${i - 1})` });
const layers = fc.array(
  fc.oneof({ weight: 3, arbitrary: conv }, scalarMap, scalarMap, channelMap, constantNode, norm, hardSwish, relu),
  { minLength: 1, maxLength: 8 },
);

/** A chain of layers as text. `tap`, where in range, is a second output in its middle. */
function chainText(chain: readonly Layer[], tap: number): string {
  let channels = 4;
  const lines = ['in v0 [2,4,24,24]'];
  for (const [i, layer] of chain.entries()) {
    lines.push(layer.lines(i + 1, channels));
    channels = layer.channels ?? channels;
  }
  lines.push(`out v${chain.length}`);
  if (tap > 0 && tap < chain.length) lines.push(`out v${tap}`);
  return lines.join('\n');
}

describe('simplifying', () => {
  test('keeps the outputs of any chain of layers, and the graph legal', async () => {
    await fc.assert(
      fc.asyncProperty(layers, fc.nat(12), async (chain, tap) => {
        const text = chainText(chain, tap);
        const graph = graphOf(text);
        simplify(graph);
        verifyGraph(graph, 'simplified');
        await expectSameOutputs(graphOf(text), graph);
      }),
      { numRuns: 300 },
    );
  });

  test('leaves nothing of the tiny model that it has a pass for', async () => {
    const { graph } = readModel(tinyModelBytes(), 'tiny.onnx');
    simplify(graph);
    const ops = graph.nodes.map(({ op }) => op);
    expect(ops.join(' ')).toBe(
      'Conv HardSigmoid Mul Add Conv Conv HardSigmoid Mul AveragePool Conv HardSigmoid Mul Concat Conv Squeeze Transpose MatMul Softmax',
    );
    await expectSameOutputs(readModel(tinyModelBytes(), 'tiny.onnx').graph, graph);
  });

  test('leaves a graph that has nothing to simplify as it is', () => {
    const text = 'in x [1,4,5,5]\nconst w [4,4,3,3]\na = Conv(x, w)\ny = Relu(a)\nout y';
    const graph = graphOf(text);
    simplify(graph);
    expect(graph).toEqual(graphOf(text));
    expect(textOf(graph)).toBe('a = Conv(x, w)\ny = Relu(a)');
  });
});
