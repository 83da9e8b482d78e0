import { describe, expect, test } from 'vitest';
import {
  cloneGraph,
  constantOf,
  constantTensor,
  freshName,
  type Graph,
  indexGraph,
  scalarConstant,
  usedValues,
} from '../../../compiler/graph/graph.ts';
import { coded } from '../coded.ts';
import { floats, graphOf } from '../text-graph.ts';

/** An If whose one branch reads `outer`, and whose other holds an If that reads `deeper`. */
function nestedGraph(): Graph {
  const graph = graphOf(`
    in x [2]
    outer = Relu(x)
    deeper = Neg(x)
    y = If(x)
    out y`);
  const inner = graphOf(`
    own = Relu(x)
    b = If(own)
    out b`);
  const graphValue = (value: Graph) => ({ type: 'graph' as const, value });
  inner.nodes[1]?.attributes.set('then_branch', graphValue(graphOf('c = Add(own, deeper)\nout c')));
  graph.nodes[2]?.attributes.set('then_branch', graphValue(graphOf('out outer')));
  graph.nodes[2]?.attributes.set('else_branch', graphValue(inner));
  return graph;
}

describe('graphs', () => {
  test('a node uses what its subgraphs capture, however deep, and nothing that they make themselves', () => {
    const graph = nestedGraph();
    expect(usedValues(graph.nodes[2] as Graph['nodes'][number])).toEqual(['x', 'outer', 'deeper']);
    expect(indexGraph(graph).consumers.get('deeper')).toEqual([graph.nodes[2]]);
  });

  test('a value that a node reads twice has that node as a consumer once', () => {
    const graph = graphOf(`
      in x [2]
      y = Mul(x, x)
      out y`);
    const { consumers, producer, isOutput } = indexGraph(graph);
    expect(consumers.get('x')).toEqual(graph.nodes);
    expect(producer.get('y')).toBe(graph.nodes[0]);
    expect([...isOutput]).toEqual(['y']);
  });

  test('changing a copy leaves the original alone', () => {
    const original = nestedGraph();
    const copy = cloneGraph(original);
    copy.nodes[0]?.inputs.push('more');
    copy.nodes[0]?.attributes.set('alpha', { type: 'int', value: 1n });
    copy.nodes.pop();
    copy.initializers.set('w', floats([], [1]));
    copy.outputs.pop();
    expect(original).toEqual(nestedGraph());
  });

  test('a fresh name is none of an input, an initializer or a made value', () => {
    const graph = graphOf(`
      in x [2]
      const x.1 [1]
      x.2 = Add(x, x.1)
      out x.2`);
    expect(freshName(graph, 'x')).toBe('x.3');
    expect(freshName(graph, 'z')).toBe('z');
  });

  test('a scalar is one float32 element of any rank', () => {
    const graph = graphOf(`
      const s [] = 3
      const one [1,1] = 4
      const two [2] = 5 6`);
    graph.initializers.set('i', { elementType: 'int32', shape: [], bytes: Uint8Array.of(1, 0, 0, 0) });
    expect(['s', 'one', 'two', 'i', 'missing'].map((name) => scalarConstant(graph, name))).toEqual([
      3,
      4,
      undefined,
      undefined,
      undefined,
    ]);
  });

  test('a tensor survives being a constant, and a type without a typed array is named', () => {
    const tensor = { dtype: 'int64', shape: [2], data: BigInt64Array.of(1n, -1n) } as const;
    expect(constantTensor(constantOf(tensor))).toEqual(tensor);
    const bfloat16 = { elementType: 'bfloat16', shape: [1], bytes: Uint8Array.of(0, 0) } as const;
    expect(() => constantTensor(bfloat16)).toThrow(coded('UNSUPPORTED', 'bfloat16'));
  });
});
