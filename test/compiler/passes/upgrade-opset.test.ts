import { describe, expect, test } from 'vitest';
import { verifyGraph } from '../../../compiler/graph/verify.ts';
import { refusal, upgradeOpset, withOpset } from '../../../compiler/passes/upgrade-opset.ts';
import { expectSameOutputs, modelOf } from '../run-graph.ts';
import { graphOf, nameIntegers, nodeLines, textOf } from '../text-graph.ts';

const NEWEST = 20;

async function expectUpgrade(before: string, after: string, from: number): Promise<void> {
  const graph = graphOf(before);
  expect(upgradeOpset(graph, from, NEWEST)).toBe(true);
  nameIntegers(graph);
  expect(textOf(graph)).toBe(nodeLines(after));
  verifyGraph(graph, 'upgraded');
  await expectSameOutputs(graphOf(before), graph, from, NEWEST);
}

describe('raising the opset', () => {
  const x = 'in x [2,3,4]';
  test.each([
    ['a Clip', 9, `${x}\ny = Clip(x) min=-0.5 max=1.5`, 'y = Clip(x, -0.5, 1.5)'],
    ['a Clip with an upper bound alone', 9, `${x}\ny = Clip(x) max=0.5`, 'y = Clip(x, -, 0.5)'],
    ['a Clip without bounds', 9, `${x}\ny = Clip(x)`, 'y = Clip(x)'],
    ['a Pad', 10, `${x}\ny = Pad(x) pads=[0,1,0,0,0,2] value=2.5`, 'y = Pad(x, [0,1,0,0,0,2], 2.5)'],
    ['a Pad with nothing', 9, `${x}\ny = Pad(x) pads=[0,1,0,0,0,2] mode=edge`, 'y = Pad(x, [0,1,0,0,0,2]) mode=edge'],
    ['a Slice', 9, `${x}\ny = Slice(x) starts=[1,0] ends=[3,-1] axes=[1,2]`, 'y = Slice(x, [1,0], [3,-1], [1,2])'],
    ['a Slice of the first axes', 9, `${x}\ny = Slice(x) starts=[1] ends=[2]`, 'y = Slice(x, [1], [2])'],
    [
      'a Squeeze',
      9,
      `${x}\na = Unsqueeze(x) axes=[0,2]\ny = Squeeze(a) axes=[2]`,
      'a = Unsqueeze(x, [0,2])\ny = Squeeze(a, [2])',
    ],
    ['a Squeeze of all axes', 9, 'in x [2,1,4]\ny = Squeeze(x)', 'y = Squeeze(x)'],
    ['a sum', 11, `${x}\ny = ReduceSum(x) axes=[1] keepdims=0`, 'y = ReduceSum(x, [1]) keepdims=0'],
    ['a mean', 13, `${x}\ny = ReduceMean(x) axes=[-1]`, 'y = ReduceMean(x, [-1])'],
    ['a maximum of everything', 13, `${x}\ny = ReduceMax(x)`, 'y = ReduceMax(x)'],
    ['a Split', 9, `${x}\ny, z = Split(x) split=[1,2] axis=1`, 'y, z = Split(x, [1,2]) axis=1'],
    ['a Split into equal parts', 13, `${x}\ny, z = Split(x) axis=2`, 'y, z = Split(x) axis=2 num_outputs=2'],
    ['a Softmax over the last axis', 9, `${x}\ny = Softmax(x) axis=2`, 'y = Softmax(x) axis=-1'],
    [
      'a Softmax over the last axis, counted from the back',
      11,
      `${x}\ny = Softmax(x) axis=-1`,
      'y = Softmax(x) axis=-1',
    ],
    [
      'a LogSoftmax over the second of two axes, by default',
      9,
      'in x [2,3]\ny = LogSoftmax(x)',
      'y = LogSoftmax(x) axis=-1',
    ],
    [
      'the largest few',
      9,
      `${x}\ny, i = TopK(x) k=2 axis=2\nz = Cast(i) to=1\nout z`,
      'y, i = TopK(x, [2]) axis=2\nz = Cast(i) to=1',
    ],
    ['a Dropout', 9, `${x}\ny = Dropout(x) ratio=0.3`, 'y = Dropout(x)'],
    [
      'a BatchNormalization',
      9,
      'in x [2,3,4]\nconst s [3]\nconst v [3] = 1 2 3\ny = BatchNormalization(x, s, s, s, v) momentum=0.5',
      'y = BatchNormalization(x, s, s, s, v) momentum=0.5',
    ],
    ['a broadcast along the last axes', 7, `${x}\nin z [4]\ny = Add(x, z)`, 'y = Add(x, z)'],
    [
      'a pooling',
      10,
      'in x [1,2,6,6]\ny = AveragePool(x) kernel_shape=[2,2] strides=[2,2]',
      'y = AveragePool(x) kernel_shape=[2,2] strides=[2,2]',
    ],
    [
      'an enlargement',
      11,
      'in x [1,1,2,3]\nconst r [8]\nconst f [4] = 1 1 2 2\ny = Resize(x, r, f) mode=linear',
      'y = Resize(x, r, f) mode=linear',
    ],
    ['a sampling', 16, 'in x [1,1,4,4]\nin g [1,3,3,2]\ny = GridSample(x, g)', 'y = GridSample(x, g) mode=linear'],
    [
      'a sampling by cubes',
      16,
      'in x [1,1,4,4]\nin g [1,3,3,2]\ny = GridSample(x, g) mode=bicubic',
      'y = GridSample(x, g) mode=cubic',
    ],
    [
      'a region',
      10,
      'in x [1,1,6,6]\nconst r [1,4] = 0 0 3 4\ny = RoiAlign(x, r, [0]) output_height=2 output_width=2',
      'y = RoiAlign(x, r, [0]) output_height=2 output_width=2 coordinate_transformation_mode=output_half_pixel',
    ],
    [
      'a Scatter',
      9,
      'in x [1,3]\nin u [1,2]\ni = Reshape([1,2], [1,2])\ny = Scatter(x, i, u) axis=1',
      'i = Reshape([1,2], [1,2])\ny = ScatterElements(x, i, u) axis=1',
    ],
  ])('converts %s of opset %d', async (_, from, before, after) => {
    await expectUpgrade(`${before}\nout y`, after, from);
  });

  test('goes all the way from opset 6', () => {
    const graph = graphOf(
      'in x [2,3,4]\nin z [4]\na = Add(x, z) broadcast=1\nb = Dropout(a) is_test=1 ratio=0.5\ny = Squeeze(b) axes=[0]\nout y',
    );
    expect(upgradeOpset(graph, 6, NEWEST)).toBe(true);
    nameIntegers(graph);
    expect(textOf(graph)).toBe('a = Add(x, z)\nb = Dropout(a)\ny = Squeeze(b, [0])');
  });

  test('goes no further than it is asked', () => {
    const graph = graphOf('in x [2,3]\na = ReduceSum(x) axes=[1]\ny = ReduceMean(a) axes=[0]\nout y');
    expect(upgradeOpset(graph, 11, 17)).toBe(true);
    nameIntegers(graph);
    expect(textOf(graph)).toBe('a = ReduceSum(x, [1])\ny = ReduceMean(a) axes=[0]');
  });

  test('converts what is in bodies, with constants that the top has and no body names', async () => {
    const branch = (text: string) => ({ type: 'graph' as const, value: graphOf(text) });
    const make = () => {
      const graph = graphOf('in x [2,3]\nin c []\nb = Cast(c) to=9\ny = If(b)\nout y');
      graph.nodes[1]?.attributes.set('then_branch', branch('a = ReduceSum(x) axes=[1]\nout a'));
      graph.nodes[1]?.attributes.set(
        'else_branch',
        branch('opset.ints = Neg(x)\nd = ReduceSum(opset.ints) axes=[1]\nout d'),
      );
      return graph;
    };
    const graph = make();
    expect(upgradeOpset(graph, 11, NEWEST)).toBe(true);
    verifyGraph(graph, 'upgraded');
    expect([...graph.initializers.keys()]).toEqual(['opset.ints.1', 'opset.ints.2']);
    await expectSameOutputs(make(), graph, 11, NEWEST);
  });

  test('refuses where something in a body is in the way, and touches nothing', () => {
    const graph = graphOf('in x [2]\nb = Cast(x) to=9\na = Clip(x) min=0.0\ny = If(b)\nout y');
    graph.nodes[2]?.attributes.set('then_branch', {
      type: 'graph',
      value: graphOf('a2 = LpPool(x) kernel_shape=[2]\nout a2'),
    });
    const before = textOf(graph);
    expect(refusal(graph, 9, NEWEST)).toBe('LpPool');
    expect(upgradeOpset(graph, 9, NEWEST)).toBe(false);
    expect(textOf(graph)).toBe(before);
    expect(graph.initializers.size).toBe(0);
  });

  const channels = 'const s [3]\nconst v [3] = 1 2 3\nin x [2,3,4]';
  test.each([
    ['a Softmax that flattens', 9, 'in x [2,3,4]\ny = Softmax(x)', 'Softmax'],
    ['a Softmax of unknown rank', 9, 'in x [2]\na = Foo2(x)\ny = Softmax(a) axis=2', 'Foo2'],
    [
      'a Softmax over what a Transpose of unknown rank gives',
      9,
      'in x []\na = NonZero(x)\ny = Softmax(a) axis=1',
      'Softmax',
    ],
    ['a mask of Dropout', 9, 'in x [2]\na, y = Dropout(x)', 'Dropout'],
    ['a Dropout in training', 6, 'in x [2]\ny = Dropout(x)', 'Dropout'],
    ['a BatchNormalization in training', 6, `${channels}\ny = BatchNormalization(x, s, s, s, v)`, 'BatchNormalization'],
    [
      'statistics that a BatchNormalization gives',
      9,
      `${channels}\na, y = BatchNormalization(x, s, s, s, v)`,
      'BatchNormalization',
    ],
    ['a broadcast along an axis', 6, 'in x [2,3,4]\nin z [3]\ny = Add(x, z) broadcast=1 axis=1', 'Add'],
    ['a slope a channel, as opset 6 takes it', 6, 'in x [2,3,4]\nconst s [3]\ny = PRelu(x, s)', 'PRelu'],
    [
      'one-hot vectors, whose negative indices changed',
      9,
      'in x [2]\nconst d [1] = 3\nconst v [2] = 0 1\ny = OneHot(x, d, v)',
      'OneHot',
    ],
    [
      'an enlargement that centred pixels otherwise',
      10,
      'in x [1,1,2,3]\nconst f [4] = 1 1 2 2\ny = Resize(x, f)',
      'Resize',
    ],
    [
      'coordinates that went',
      11,
      'in x [1,1,2,3]\nconst f [4] = 1 1 2 2\ny = Resize(x, -, f) coordinate_transformation_mode=tf_half_pixel_for_nn',
      'Resize',
    ],
    [
      'a pooling of windows over the edge',
      10,
      'in x [1,2,6,6]\ny = AveragePool(x) kernel_shape=[4,4] ceil_mode=1',
      'AveragePool',
    ],
    [
      'a transposed convolution that pads as it likes',
      9,
      'in x [1,1,3,3]\nconst w [1,1,2,2]\ny = ConvTranspose(x, w) auto_pad=SAME_UPPER',
      'ConvTranspose',
    ],
    ['an operator that is not known', 13, 'in x [2]\ny = Foo(x)', 'Foo'],
    ['an operator that went', 9, 'in x [1,1,2,2]\nconst f [4] = 1 1 2 2\ny = Upsample(x, f)', 'Upsample'],
  ])('refuses %s', (_, from, text, operator) => {
    const graph = graphOf(`${text}\nout y`);
    expect(refusal(graph, from, NEWEST)).toBe(operator);
    expect(upgradeOpset(graph, from, NEWEST)).toBe(false);
    expect(graph).toEqual(graphOf(`${text}\nout y`));
  });

  test('refuses a function of the model, and an operator of a domain that is not known', () => {
    const graph = graphOf('in x [2]\ny = Neg(x)\nout y');
    for (const node of graph.nodes) node.domain = 'my.functions';
    expect(refusal(graph, 13, NEWEST)).toBe('my.functions.Neg');
    for (const node of graph.nodes) node.domain = 'com.microsoft';
    expect(refusal(graph, 13, NEWEST)).toBeUndefined();
  });

  test.each(['float16', 'float64'] as const)('refuses bounds whose type it does not know, beside %s', (elementType) => {
    const graph = graphOf('in x [2]\ny = Clip(x) min=0.0\nout y');
    graph.inputs = [{ name: 'x', elementType, shape: [2] }];
    expect(refusal(graph, 9, NEWEST)).toBe('Clip');
    const cast = graphOf(`in x [2]\na = Cast(x) to=${elementType === 'float16' ? 10 : 11}\ny = Clip(a) min=0.0\nout y`);
    expect(refusal(cast, 9, NEWEST)).toBe('Clip');
  });

  test.each([
    [5, 20],
    [0, 20],
    [13, 21],
    [20, 20],
    [20, 17],
  ])('refuses to go from %d to %d', (from, to) => {
    expect(upgradeOpset(graphOf('in x [2]\ny = Neg(x)\nout y'), from, to)).toBe(false);
  });
});

describe('a model of another opset', () => {
  test('has an IR version that may import it, and keeps its other operator sets', () => {
    const model = { ...modelOf(graphOf('in x [2]\ny = Neg(x)\nout y'), 9), irVersion: 4 };
    model.opsets.set('com.microsoft', 1);
    const newer = withOpset(model, 20);
    expect([newer.irVersion, [...newer.opsets]]).toEqual([
      9,
      [
        ['', 20],
        ['com.microsoft', 1],
      ],
    ]);
    expect(model.opsets.get('')).toBe(9);
    expect(withOpset({ ...model, irVersion: 10 }, 20).irVersion).toBe(10);
  });

  test('is the same where the opset is', () => {
    const model = modelOf(graphOf('in x [2]\ny = Neg(x)\nout y'), 9);
    expect(withOpset(model, 9)).toBe(model);
    model.opsets.delete('');
    expect(withOpset(model, 0)).toBe(model);
  });
});
