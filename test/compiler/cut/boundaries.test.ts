import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { legalBoundaries } from '../../../compiler/cut/boundaries.ts';
import { extractChain } from '../../../compiler/cut/extract.ts';
import { flowOf, nodesBehind } from '../../../compiler/cut/flow.ts';
import type { NodeCost } from '../../../compiler/graph/cost.ts';
import type { Graph, Node } from '../../../compiler/graph/graph.ts';
import { removeDeadCode } from '../../../compiler/passes/dead-code.ts';
import { orRefusal } from '../../shared/tandem-error.ts';
import { graphOf } from '../text-graph.ts';

function boundariesOf(text: string, tensorsMax = 2): string[] {
  const { legal } = legalBoundaries(flowOf(graphOf(text)), tensorsMax);
  return legal.map(({ tensors }) => tensors.join(' + '));
}

describe('legal boundaries', () => {
  test('of a chain are its inner values', () => {
    expect(boundariesOf('in x [2]\na = Neg(x)\nb = Relu(a)\ny = Neg(b)\nout y')).toEqual(['a', 'b']);
  });

  test('around a skip connection carry both sides', () => {
    const text = 'in x [2]\na = Neg(x)\nb = Relu(a)\nc = Exp(b)\nd = Add(c, a)\ny = Neg(d)\nout y';
    expect(boundariesOf(text)).toEqual(['a', 'a + b', 'a + c', 'd']);
  });

  test('between parallel branches are all pairs', () => {
    const text =
      'in x [2]\ns = Neg(x)\na = Relu(s)\nb = Exp(a)\nc = Abs(s)\nd = Neg(c)\nt = Add(b, d)\ny = Neg(t)\nout y';
    expect(new Set(boundariesOf(text))).toEqual(
      new Set(['s', 's + a', 's + b', 's + c', 's + d', 'a + c', 'a + d', 'b + c', 'b + d', 't']),
    );
  });

  test('carry an input that is read late', () => {
    const text = 'in x [2]\nin state [2]\na = Neg(x)\nb = Relu(a)\nc = Add(b, state)\ny = Neg(c)\nout y';
    expect(boundariesOf(text)).toEqual(['state + a', 'state + b', 'c']);
  });

  test('do not carry constants, nor what is computed from constants or shapes alone', () => {
    const text =
      'in x [2]\nconst k [2]\nc = Neg(k)\na = Add(x, c)\ns = Shape(x)\nb = Mul(a, c)\ny = Reshape(b, s)\nout y';
    expect(boundariesOf(text)).toEqual(['a', 'b']);
  });

  test('leave outputs that are made early out of account', () => {
    const text = 'in x [2]\na = Neg(x)\nearly = Exp(a)\nb = Relu(a)\ny = Neg(b)\nout early\nout y';
    expect(boundariesOf(text, 1)).toContain('b');
  });

  test('are never inside a body, and count what it captures', () => {
    const graph = graphOf('in x [2]\na = Neg(x)\nb = Relu(a)\nc = If(b)\ny = Neg(c)\nout y');
    graph.nodes[2]?.attributes.set('then_branch', { type: 'graph', value: graphOf('t = Add(a, a)\nout t') });
    const { legal } = legalBoundaries(flowOf(graph), 2);
    expect(legal.map(({ tensors }) => tensors.join(' + '))).toEqual(['a', 'a + b', 'c']);
  });

  test('do not carry what is no tensor', () => {
    const graph = graphOf(
      'in x [2]\na = Neg(x)\nb = SequenceConstruct(a)\nc = ConcatFromSequence(b)\ny = Neg(c)\nout y',
    );
    graph.values.set('b', { name: 'b', elementType: 'undefined', shape: null });
    const { legal } = legalBoundaries(flowOf(graph), 2);
    expect(legal.map(({ tensors }) => tensors.join(' + '))).toEqual(['a', 'c']);
    expect(() => extractChain(graph, [['b']])).toThrow('which is no tensor');
  });

  test('are found in a chain of 20,000 nodes', () => {
    const length = 20_000;
    const lines = Array.from({ length }, (_, i) => `v${i + 1} = Neg(v${i})`);
    const flow = flowOf(graphOf(['in v0 [2]', ...lines, `out v${length}`].join('\n')));
    const { legal } = legalBoundaries(flow, 1);
    expect(legal).toHaveLength(length - 1);
  });

  test('are not all tried in a large part, and that is said', () => {
    const lines = ['a', 'b'].flatMap((side) =>
      Array.from({ length: 1500 }, (_, i) => `${side}${i + 1} = Neg(${side}${i})`),
    );
    const flow = flowOf(graphOf(['in a0 [2]', 'in b0 [2]', ...lines, 'y = Add(a1500, b1500)', 'out y'].join('\n')));
    expect(legalBoundaries(flow, 2).partsCutShort).toBe(1);
  });
});

const dags = fc
  .array(fc.record({ op: fc.constantFrom('Add', 'Neg'), a: fc.nat(100), b: fc.nat(100) }), {
    minLength: 1,
    maxLength: 8,
  })
  .map((nodes) => {
    const lines = nodes.map(({ op, a, b }, i) => {
      const [first, second] = [`v${a % (i + 2)}`, `v${b % (i + 2)}`];
      return op === 'Neg' ? `v${i + 2} = Neg(${first})` : `v${i + 2} = Add(${first}, ${second})`;
    });
    return ['in v0 [3]', 'in v1 [3]', ...lines].join('\n');
  });

/** Values v0, v1, ... and shapes s0, s1, ...: what reads a shape may stand far behind what it is of. */
const dagsWithShapes = fc
  .array(
    fc.record({
      op: fc.constantFrom(
        'Neg' as const,
        'Add' as const,
        'Split' as const,
        'Shape' as const,
        'Concat' as const,
        'Reshape' as const,
      ),
      a: fc.nat(100),
      b: fc.nat(100),
    }),
    {
      minLength: 3,
      maxLength: 14,
    },
  )
  .map((nodes) => {
    let [values, shapes] = [2, 1];
    const lines = nodes.map(({ op, a, b }) => {
      // Mostly what was made last, so that there are one-tensor boundaries to pass.
      const value = (n: number) => `v${n % 3 === 0 ? n % values : values - 1 - (n % Math.min(2, values))}`;
      const shape = (n: number) => `s${n % shapes}`;
      const inputs = {
        ...{ Neg: [value(a)], Split: [value(a)], Shape: [value(a)] },
        ...{ Add: [value(a), value(b)], Reshape: [value(a), shape(b)], Concat: [shape(a), shape(b)] },
      };
      const made = `${op}(${inputs[op].join(', ')})`;
      if (op === 'Shape' || op === 'Concat') return `s${shapes++} = ${made}`;
      return op === 'Split' ? `v${values++}, v${values++} = ${made}` : `v${values++} = ${made}`;
    });
    return ['in v0 [3]', 's0 = Shape(v0)', 'v1 = Neg(v0)', ...lines].join('\n');
  });

describe('in any graph', () => {
  test('a set of one or two tensors is found if and only if the graph can be cut there', () => {
    let found = 0;
    fc.assert(
      fc.property(dags, fc.boolean(), (text, hasTwoOutputs) => {
        const last = text.split('\n').length - 1;
        const graph = graphOf(`${text}\nout v${last}${hasTwoOutputs && last > 2 ? `\nout v${last - 1}` : ''}`);
        removeDeadCode(graph);
        const flow = flowOf(graph);
        const expected = allSets(last)
          .filter((tensors) => canCut(graph, tensors))
          .map((tensors) => tensors.join());
        const { legal, partsCutShort } = legalBoundaries(flow, 2);
        expect(partsCutShort).toBe(0);
        const actual = legal.map(({ tensors }) => [...tensors].sort(byIndex).join());
        found += actual.length;
        for (const one of actual) expect(expected).toContain(one);
        // With one output the parts follow on one another, and nothing is missed.
        if (!hasTwoOutputs) expect(new Set(actual)).toEqual(new Set(expected));
      }),
      { numRuns: 500 },
    );
    expect(found).toBeGreaterThan(500);
  });

  test('what runs behind a boundary is what depends on it, in nodes and costs, and one runs before another or not', () => {
    let compared = 0;
    fc.assert(
      fc.property(dagsWithShapes, fc.nat(10), (text, extraOutput) => {
        const graph = graphOf(text);
        const values = graph.nodes.flatMap(({ outputs }) => outputs).filter((name) => name.startsWith('v'));
        const names = new Set([values.at(-1), values.at(-1 - extraOutput) ?? values.at(-1)]) as Set<string>;
        graph.outputs = [...names].map((name) => ({ name, elementType: 'float32', shape: null }));
        const costs = new Map(graph.nodes.map((node, i) => [node, { macs: 2 ** i, parameters: i }]));
        const flow = flowOf(graph);
        const dynamic = graph.nodes.filter((node) => flow.kind.get(node) === 'dynamic');
        const { legal } = legalBoundaries(flow, 2, costs);
        const sets = legal.map(({ tensors }) => nodesBehind(flow, tensors));
        for (const [i, { nodesBefore, costBehind, behind }] of legal.entries()) {
          const set = sets[i] as Set<Node>;
          expect(costBehind).toEqual(sumOf(set, costs));
          expect(nodesBefore).toBe(dynamic.filter((node) => !set.has(node)).length);
          expect(new Set(graph.nodes.filter(behind().has))).toEqual(set);
          for (const [j, other] of legal.entries()) {
            compared++;
            const isSubset = [...(sets[j] ?? [])].every((node) => set.has(node));
            expect(other.behind().first.every(behind().has)).toBe(isSubset);
          }
        }
      }),
      { numRuns: 500 },
    );
    expect(compared).toBeGreaterThan(5000);
  });
});

function sumOf(nodes: ReadonlySet<Node>, costs: ReadonlyMap<Node, NodeCost>) {
  let [macs, parameters] = [0, 0];
  for (const node of nodes) {
    macs += costs.get(node)?.macs ?? 0;
    parameters += costs.get(node)?.parameters ?? 0;
  }
  return { nodes: nodes.size, macs, parameters };
}

const byIndex = (a: string, b: string) => Number(a.slice(1)) - Number(b.slice(1));

function allSets(last: number): string[][] {
  const names = Array.from({ length: last + 1 }, (_, i) => `v${i}`);
  const pairs = names.flatMap((a, i) => names.slice(i + 1).map((b) => [a, b]));
  return [...names.map((name) => [name]), ...pairs];
}

/** Whether extraction takes it, and each tensor is needed. */
function canCut(graph: Graph, tensors: readonly string[]): boolean {
  const chain = orRefusal(() => extractChain(graph, [tensors]), 'BAD_CUT');
  return chain !== null && tensors.every((name) => chain.segments[1]?.inputs.includes(name));
}
