import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { verifyGraph } from '../../../compiler/graph/verify.ts';
import { readModel } from '../../../compiler/onnx/read.ts';
import { simplify } from '../../../compiler/passes/index.ts';
import { tinyModelBytes } from '../../helpers/tiny-model.ts';
import { expectSameOutputs } from '../run-graph.ts';
import { graphOf, textOf } from '../text-graph.ts';

/** One layer as text: reads v of i - 1, makes v of i; tells how many channels come out. */
interface Layer {
  readonly lines: (i: number, channels: number, opset: number) => string;
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
const HARD_SWISH: Layer = {
  lines: (i, _, opset) => `
    s${i} = Add(v${i - 1}, 3)
    t${i} = ${opset < 11 ? `Clip(s${i}) min=0.0 max=6.0` : `Clip(s${i}, 0, 6)`}
    u${i} = Mul(v${i - 1}, t${i})
    v${i} = Div(u${i}, 6)`,
};
const gelu = fc.constantFrom('Div(x, 1.4142135)', 'Mul(x, 0.70710678)').map(
  (scaled): Layer => ({
    lines: (i) => `
      s${i} = ${scaled.replace('x', `v${i - 1}`)}
      e${i} = Erf(s${i})
      p${i} = Add(e${i}, 1)
      q${i} = Mul(v${i - 1}, p${i})
      v${i} = Mul(q${i}, 0.5)`,
  }),
);
const TANH_GELU: Layer = {
  lines: (i) => `
    c${i} = Pow(v${i - 1}, 3)
    d${i} = Mul(c${i}, 0.044715)
    s${i} = Add(v${i - 1}, d${i})
    t${i} = Mul(s${i}, 0.79788456)
    u${i} = Tanh(t${i})
    p${i} = Add(u${i}, 1)
    h${i} = Mul(v${i - 1}, 0.5)
    v${i} = Mul(h${i}, p${i})`,
};
/** A GELU alone may leave nothing but its tail, where 1 + tanh(x) has no digits left to compare. */
const plusInput = (layer: Layer): Layer => ({
  lines: (i, channels, opset) => `
    ${layer.lines(i, channels, opset).replace(`v${i} =`, `o${i} =`)}
    v${i} = Add(o${i}, v${i - 1})`,
});
/** Over the channels, which go to the back and come to the front again. */
const layerNorm = fc.constantFrom('Pow(x, 2)', 'Mul(x, x)').map(
  (square): Layer => ({
    lines: (i, channels, opset) => {
      const mean = (x: string) => (opset < 18 ? `ReduceMean(${x}) axes=[-1]` : `ReduceMean(${x}, [-1])`);
      return `
      const g${i} [${channels}]
      const b${i} [${channels}]
      x${i} = Transpose(v${i - 1}) perm=[0,2,3,1]
      m${i} = ${mean(`x${i}`)}
      d${i} = Sub(x${i}, m${i})
      q${i} = ${square.replaceAll('x', `d${i}`)}
      s${i} = ${mean(`q${i}`)}
      e${i} = Add(s${i}, 0.1)
      r${i} = Sqrt(e${i})
      n${i} = Div(d${i}, r${i})
      w${i} = Mul(n${i}, g${i})
      y${i} = Add(w${i}, b${i})
      v${i} = Transpose(y${i}) perm=[0,3,1,2]`;
    },
  }),
);
/** Rows and columns become one axis, and two again. */
const flattened = fc.constantFrom('[-1]', 'k').map(
  (pixels): Layer => ({
    lines: (i, channels) => `
      s${i} = Shape(v${i - 1})
      a${i} = Gather(s${i}, [0])
      z${i} = Gather(s${i}, [2,3])
      k${i} = ReduceProd(z${i}) keepdims=1
      f${i} = Concat(a${i}, [${channels}], ${pixels === 'k' ? `k${i}` : pixels}) axis=0
      x${i} = Reshape(v${i - 1}, f${i})
      t${i} = Gather(s${i}, [0,1])
      h${i} = Concat(t${i}, z${i}) axis=0
      v${i} = Reshape(x${i}, h${i})`,
  }),
);
const relu = fc.constant<Layer>({ lines: (i) => `v${i} = Relu(v${i - 1})` });
const layers = fc.array(
  fc.oneof(
    ...[
      { weight: 3, arbitrary: conv },
      { weight: 2, arbitrary: scalarMap },
      channelMap,
      constantNode,
      norm,
      fc.constant(HARD_SWISH),
    ],
    ...[gelu.map(plusInput), fc.constant(plusInput(TANH_GELU)), layerNorm, flattened, relu],
  ),
  { minLength: 1, maxLength: 8 },
);

/** The batch may be open; what comes out of a Conv is anyway. */
const inputDims = fc.constantFrom('[2,4,24,24]', '[N,4,24,24]');

/** A chain of layers as text. `tap`, where in range, is a second output in its middle. */
function chainText(chain: readonly Layer[], tap: number, opset: number, dims = '[2,4,24,24]'): string {
  let channels = 4;
  const lines = [`in v0 ${dims}`];
  for (const [i, layer] of chain.entries()) {
    lines.push(layer.lines(i + 1, channels, opset));
    channels = layer.channels ?? channels;
  }
  lines.push(`out v${chain.length}`);
  if (tap > 0 && tap < chain.length) lines.push(`out v${tap}`);
  return lines.join('\n');
}

describe('simplifying', () => {
  test('keeps the outputs of any chain of layers, and the graph legal', async () => {
    await fc.assert(
      fc.asyncProperty(
        layers,
        fc.nat(12),
        fc.constantFrom(9, 13, 17, 20),
        inputDims,
        async (chain, tap, opset, dims) => {
          const text = chainText(chain, tap, opset, dims);
          const graph = graphOf(text);
          const opsetAfter = simplify(graph, opset);
          verifyGraph(graph, 'simplified');
          await expectSameOutputs(graphOf(text), graph, opset, opsetAfter);
        },
      ),
      { numRuns: 300 },
    );
  }, 30_000);

  test('keeps the opset where nothing gains from another', () => {
    expect(simplify(graphOf(chainText([HARD_SWISH], 0, 13)), 13)).toBe(13);
    const fused = graphOf(chainText([TANH_GELU, HARD_SWISH], 0, 13));
    expect(simplify(fused, 13)).toBe(13);
  });

  test('keeps the opset where an operator is in the way of the gain', () => {
    const text = chainText([TANH_GELU], 0, 13).replace('out v1', 'y = LpPool(v1) kernel_shape=[2,2]\nout y');
    const graph = graphOf(text);
    expect(simplify(graph, 13)).toBe(13);
    expect(graph.nodes).toHaveLength(9);
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
