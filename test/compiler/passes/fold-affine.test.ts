import { describe, expect, test } from 'vitest';
import { constantTensor } from '../../../compiler/graph/graph.ts';
import { foldAffine } from '../../../compiler/passes/fold-affine.ts';
import { expectSameOutputs } from '../run-graph.ts';
import { graphOf, textOf } from '../text-graph.ts';
import { expectRefusal, expectRewrite } from './golden.ts';

const PADDED = 'pads=[1,1,1,1]';
const CONV = `
  in x [2,4,5,5]
  const w [6,4,3,3]
  const b [6]
  const f [1,6,1,1] = 1 2 3 -1 0.5 2
  const o [6,1,1] = 1 0 -1 2 3 -0.5`;

describe('folding an affine map into the Conv before it', () => {
  test.each(['Mul(c, 2)', 'Mul(2, c)', 'Mul(c, f)', 'Div(c, f)', 'Add(c, o)', 'Add(3, c)', 'Sub(c, o)', 'Add(c, f)'])(
    'takes %s',
    async (affine) => {
      const text = `${CONV}\nc = Conv(x, w) ${PADDED}\ny = ${affine}\nout y`;
      await expectRewrite(foldAffine, text, `y = Conv(x, w.folded, w.bias) ${PADDED}`);
    },
  );

  test('takes a chain of them, and the bias that is there', async () => {
    await expectRewrite(
      foldAffine,
      `${CONV}\nc = Conv(x, w, b)\nd = Mul(c, f)\ne = Add(d, o)\ny = Div(e, 4)\nout y`,
      'y = Conv(x, w.folded.folded.folded, w.folded.folded.bias)',
    );
  });

  test('works group by group', async () => {
    await expectRewrite(
      foldAffine,
      'in x [1,4,5,5]\nconst w [4,1,3,3]\nconst f [4,1,1] = 1 2 3 4\nc = Conv(x, w) group=4\ny = Mul(c, f)\nout y',
      'y = Conv(x, w.folded, w.bias) group=4',
    );
  });

  test('leaves weights that another node reads as they were', () => {
    const graph = graphOf(`${CONV}\nc = Conv(x, w)\ny = Mul(c, 2)\nz = Conv(x, w)\nout y\nout z`);
    const before = constantTensor(graph.initializers.get('w') as never);
    expect(foldAffine(graph)).toBe(true);
    expect(textOf(graph)).toBe('y = Conv(x, w.folded, w.bias)\nz = Conv(x, w)');
    expect(constantTensor(graph.initializers.get('w') as never)).toEqual(before);
  });

  test.each([
    ['a Conv whose value is an output of the graph', 'c = Conv(x, w)\ny = Mul(c, 2)\nout y\nout c'],
    ['a Conv with a second reader', 'c = Conv(x, w)\ny = Mul(c, 2)\nz = Neg(c)\nout y\nout z'],
    ['a constant taken from, or divided by', 'c = Conv(x, w)\nd = Sub(3, c)\ny = Div(2, d)\nout y'],
    ['a constant along the width', 'const row [3]\nc = Conv(x, w)\ny = Mul(c, row)\nout y'],
    ['a constant a sample', 'const each [2,1,1,1]\nc = Conv(x, w)\ny = Mul(c, each)\nout y'],
    ['a constant a pixel', 'const all [1,6,3,3]\nc = Conv(x, w)\ny = Mul(c, all)\nout y'],
    ['a scalar of rank 5', 'const five [1,1,1,1,1]\nc = Conv(x, w)\ny = Mul(c, five)\nout y'],
    ['a constant of rank 5', 'const five [1,1,6,1,1]\nc = Conv(x, w)\ny = Mul(c, five)\nout y'],
    ['a constant of more channels than the Conv has', 'const v [1,4,3,3]\nc = Conv(x, v)\ny = Mul(c, f)\nout y'],
    ['a value instead of a constant', 'c = Conv(x, w)\nd = Neg(x)\ne = ReduceMean(d)\ny = Mul(c, e)\nout y'],
    ['weights that are computed', 'v = Neg(w)\nc = Conv(x, v)\ny = Mul(c, 2)\nout y'],
    ['another operator', 'c = ConvTranspose(x, w)\ny = Mul(c, 2)\nout y'],
  ])('refuses %s', (_, lines) => {
    expectRefusal(foldAffine, `${CONV}\n${lines}`);
  });

  test('refuses a Conv of one dimension, whose channels the shape of the constant does not tell', () => {
    expectRefusal(foldAffine, 'in x [1,3,8]\nconst w [4,3,3]\nconst f [4,1,1]\nc = Conv(x, w)\ny = Mul(c, f)\nout y');
  });
});

describe('folding an affine map into the Conv behind it', () => {
  const conv = `
    in x [2,4,5,5]
    const w [6,4,3,3]
    const v [8,2,3,3]
    const f [1,4,1,1] = 1 2 -3 0.5
    const o [4,1,1] = 1 0 -1 2`;

  test.each([
    ['a factor, whatever the padding', 'Mul(x, f)', PADDED],
    ['a scalar factor', 'Div(x, 4)', PADDED],
    ['an offset where nothing is padded', 'Add(x, o)', 'pads=[0,0,0,0]'],
    ['an offset where the padding is VALID', 'Sub(x, o)', 'auto_pad=VALID'],
    ['an offset where no padding is given', 'Add(x, 3)', 'auto_pad=NOTSET'],
  ])('takes %s', async (_, affine, attributes) => {
    const text = `${conv}\na = ${affine}\ny = Conv(a, w) ${attributes}\nout y`;
    await expectRewrite(foldAffine, text, `y = Conv(x, w.folded, w.bias) ${attributes}`);
  });

  test.each(['Mul(x, f)', 'Add(x, o)'])('works group by group: %s', async (affine) => {
    const text = `${conv}\na = ${affine}\ny = Conv(a, v) group=2\nout y`;
    await expectRewrite(foldAffine, text, 'y = Conv(x, v.folded, v.bias) group=2');
  });

  test('turns factor and offset round before a padded Conv, so that the factor folds', async () => {
    await expectRewrite(
      foldAffine,
      `${conv}\na = Mul(x, 2)\nb = Add(a, o)\ny = Conv(b, w) ${PADDED}\nout y`,
      `a = Add(x, b.shift)
       y = Conv(a, w.folded, w.bias) ${PADDED}`,
    );
  });

  test.each([
    ['an offset before a Conv that pads', `a = Add(x, o)\ny = Conv(a, w) ${PADDED}\nout y`],
    ['an offset before a Conv that pads as it likes', 'a = Add(x, o)\ny = Conv(a, w) auto_pad=SAME_UPPER\nout y'],
    ['an affine map whose value is an output of the graph', 'a = Mul(x, f)\ny = Conv(a, w)\nout y\nout a'],
    ['an affine map with a second reader', 'a = Mul(x, f)\ny = Conv(a, w)\nz = Neg(a)\nout y\nout z'],
    ['a constant that the Conv has as weights', 'a = Mul(w, 2)\ny = Conv(x, a)\nout y'],
    [
      'a factor near 0 before an offset and a Conv that pads: the offset over it would be huge',
      `a = Mul(x, 0.0000001)\nb = Add(a, o)\ny = Conv(b, w) ${PADDED}\nout y`,
    ],
    [
      'a factor and an offset whose sum is read twice, before a Conv that pads',
      `a = Mul(x, 2)\nb = Add(a, o)\ny = Conv(b, w) ${PADDED}\nz = Neg(b)\nout y\nout z`,
    ],
  ])('refuses %s', (_, lines) => {
    expectRefusal(foldAffine, `${conv}\n${lines}`);
  });

  test.each([
    ['broadcasts one channel to many', 'in x [1,1,6,6]\na = Mul(x, f)'],
    ['raises the rank', 'in x [3,6,6]\na = Mul(x, f)'],
    ['has constants only', 'in x [1,4,4,4]\na = Mul(f, 2)'],
  ])('keeps the outputs of a map that %s', async (_, lines) => {
    const text = `${lines}\nconst f [1,3,1,1] = 1 2 3\nconst w [4,3,1,1]\ny = Conv(a, w)\nz = Neg(x)\nout y\nout z`;
    const graph = graphOf(text);
    foldAffine(graph);
    await expectSameOutputs(graphOf(text), graph);
  });
});

describe('what a fold makes possible is folded too', () => {
  const padded = 'in x [2,4,5,5]\nconst w [6,4,3,3]\nconst f [1,4,1,1] = 1 2 -3 0.5\nconst o [4,1,1] = 1 0 -1 2';

  test('before it: factor and offset are turned round once the factor behind them is gone', async () => {
    await expectRewrite(
      foldAffine,
      `${padded}\na = Mul(x, 2)\nb = Add(a, o)\nc = Mul(b, 3)\ny = Conv(c, w) ${PADDED}\nout y`,
      `a = Add(x, b.shift)\ny = Conv(a, w.folded.folded, w.folded.bias) ${PADDED}`,
    );
  });

  test('in order, though branches take turns', async () => {
    await expectRewrite(
      foldAffine,
      `${padded}
       a = Mul(x, f)\np = Neg(x)
       b = Mul(a, 2)\nq = Mul(p, 3)
       c = Conv(b, w)\nr = Conv(q, w)
       y = Add(c, r)\nout y`,
      'p = Neg(x)\nc = Conv(x, w.folded.folded, w.folded.bias)\nr = Conv(p, w.folded.1, w.bias.1)\ny = Add(c, r)',
    );
  });

  test('and constants of the folds between are gone', () => {
    const graph = graphOf(`${CONV}\nc = Conv(x, w)\nd = Mul(c, f)\ny = Add(d, o)\nout y`);
    foldAffine(graph);
    expect([...graph.initializers.keys()]).toEqual(['w', 'b', 'f', 'o', 'w.folded.folded', 'w.folded.bias']);
  });
});

test.each([
  [
    'many Convs and factors',
    2400,
    (i: number) => `c${i} = Conv(v${i}, w)\nm${i} = Mul(c${i}, f)\nv${i + 1} = Relu(m${i})`,
  ],
  ['one Conv and many factors', 1, (i: number) => `v${i + 1} = ${i === 0 ? 'Conv(v0, w)' : `Mul(v${i}, 0.999)`}`],
  [
    'many factors before a Conv',
    30,
    (i: number) => `v${i + 1} = ${i % 40 === 39 ? `Conv(v${i}, w)` : `Mul(v${i}, 0.999)`}`,
  ],
])('ten times the nodes, %s, take ten times the steps', (_, nodesLeft, layer) => {
  const steps = (count: number) => {
    const lines = Array.from({ length: count }, (_, i) => layer(i));
    const head = 'in v0 [1,2,3,3]\nconst w [2,2,1,1]\nconst f [2,1,1] = 1 2';
    const graph = graphOf([head, ...lines, `out v${count}`].join('\n'));
    const initializers = new CountingMap(graph.initializers);
    foldAffine(Object.assign(graph, { initializers }));
    return { steps: initializers.lookups, nodes: graph.nodes.length };
  };
  const [few, many] = [steps(120), steps(1200)];
  expect(many.nodes).toBe(nodesLeft);
  expect(many.steps).toBeLessThan(10.5 * few.steps);
});

class CountingMap<K, V> extends Map<K, V> {
  lookups = 0;
  override get(key: K): V | undefined {
    this.lookups++;
    return super.get(key);
  }
  override has(key: K): boolean {
    this.lookups++;
    return super.has(key);
  }
}
