/** Products of float32 matrices by the runtime's own kernels: an attack is hardly anything else. */
import type { Runtime, Session } from '../../shared/runtime.ts';
import { float32, tensor } from '../../shared/tensor.ts';
import { makeGraph, makeNode, type Node } from '../graph/graph.ts';
import { newProducts, type Products } from '../linalg/products.ts';
import { loadModel } from '../onnx/load.ts';

export interface Matrix {
  readonly rows: number;
  readonly columns: number;
  readonly data: Float32Array;
}

/** Of twice the precision: what equations are solved in. */
export interface Matrix64 {
  readonly rows: number;
  readonly columns: number;
  readonly data: Float64Array;
}

export interface Matrices extends Products {
  /** The values of a b, in float64. */
  product64(a: Matrix64, b: Matrix64): Promise<Float64Array>;

  /** a b */
  multiply(a: Matrix, b: Matrix): Promise<Matrix>;
  /** a bᵀ */
  inner(a: Matrix, b: Matrix): Promise<Matrix>;
  /** What is positive of a b + c, c a row. */
  rectified(a: Matrix, b: Matrix, c: Matrix): Promise<Matrix>;
  /** a d plus `rectified(a, b, c)` e. */
  network(a: Matrix, b: Matrix, c: Matrix, d: Matrix, e: Matrix): Promise<Matrix>;
}

export async function newMatrices(runtime: Runtime): Promise<Matrices> {
  const products = await newProducts(runtime);
  const multiply = await load(runtime, ['a', 'b'], ['result'], [makeNode('MatMul', ['a', 'b'], ['result'])]);
  const double = await load(runtime, ['a', 'b'], ['result'], [makeNode('MatMul', ['a', 'b'], ['result'])], 'float64');
  const inner = await load(
    runtime,
    ['a', 'b'],
    ['result'],
    [makeNode('Transpose', ['b'], ['turned']), makeNode('MatMul', ['a', 'turned'], ['result'])],
  );
  const layer = (result: string) => [
    makeNode('MatMul', ['a', 'b'], ['product']),
    makeNode('Add', ['product', 'c'], ['moved']),
    makeNode('Relu', ['moved'], [result]),
  ];
  const rectified = await load(runtime, ['a', 'b', 'c'], ['result'], layer('result'));
  const network = await load(
    runtime,
    ['a', 'b', 'c', 'd', 'e'],
    ['result'],
    [
      ...layer('hidden'),
      makeNode('MatMul', ['a', 'd'], ['direct']),
      makeNode('MatMul', ['hidden', 'e'], ['bent']),
      makeNode('Add', ['direct', 'bent'], ['result']),
    ],
  );
  return {
    add: products.add,
    async product64(a, b) {
      const feeds = Object.entries({ a, b }).map(([name, { rows, columns, data }]) => {
        return [name, tensor('float64', [rows, columns], data)];
      });
      return (await double.run(Object.fromEntries(feeds)))['result']?.data as Float64Array;
    },
    multiply: (a, b) => run(multiply, { a, b }),
    inner: (a, b) => run(inner, { a, b }),
    rectified: (a, b, c) => run(rectified, { a, b, c }),
    network: (a, b, c, d, e) => run(network, { a, b, c, d, e }),
    async release() {
      await products.release();
      for (const session of [multiply, double, inner, rectified, network]) await session.release();
    },
  };
}

/** A graph of matrices of any size. */
export function load(
  runtime: Runtime,
  inputs: readonly string[],
  outputs: readonly string[],
  nodes: Node[],
  elementType: 'float32' | 'float64' = 'float32',
): Promise<Session> {
  return loadModel(runtime, {
    graph: makeGraph({
      inputs: inputs.map((name) => ({ name, elementType, shape: [`${name}.rows`, `${name}.columns`] })),
      outputs: outputs.map((name) => ({ name, elementType, shape: null })),
      nodes,
    }),
    ...{ irVersion: 8, opsets: new Map([['', 14]]), producer: 'tandem', metadata: new Map() },
  });
}

async function run(session: Session, inputs: Readonly<Record<string, Matrix>>): Promise<Matrix> {
  const feeds = Object.entries(inputs).map(([name, { rows, columns, data }]) => [name, float32([rows, columns], data)]);
  const result = (await session.run(Object.fromEntries(feeds)))['result'];
  const [rows = 0, columns = 0] = result?.shape ?? [];
  return { rows, columns, data: result?.data as Float32Array };
}
