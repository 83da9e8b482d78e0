/**
 * Products of tall matrices by the runtime's own kernels: many times what a loop in JavaScript does. They add up in float32
 * within one call, so a call is one sample, and sums over samples are in float64.
 */

import type { Runtime, Session } from '../../shared/runtime.ts';
import { float32, type Tensor } from '../../shared/tensor.ts';
import { makeGraph, makeNode } from '../graph/graph.ts';
import { loadModel } from '../onnx/load.ts';
import { addRows, type Moments } from './moments.ts';

/** Fewer columns are summed where they are: a call has its cost too. */
const COLUMNS_MIN = 48;

export interface Products {
  /** `addRows` of the moments. */
  add(moments: Moments, rows: Float32Array, targets?: Float32Array): Promise<void>;
  release(): Promise<void>;
}

export async function newProducts(runtime: Runtime): Promise<Products> {
  const session = await loadModel(runtime, {
    graph: makeGraph({
      inputs: ['a', 'b'].map((name) => ({ name, elementType: 'float32', shape: [`rows`, `${name}.columns`] })),
      outputs: [{ name: 'product', elementType: 'float32', shape: null }],
      nodes: [makeNode('Transpose', ['a'], ['turned']), makeNode('MatMul', ['turned', 'b'], ['product'])],
    }),
    ...{ irVersion: 8, opsets: new Map([['', 13]]), producer: 'tandem', metadata: new Map() },
  });
  return {
    async add(moments, rows, targets) {
      if (moments.columns < COLUMNS_MIN) addRows(moments, rows, targets);
      else await addProducts(session, moments, rows, targets);
    },
    release: () => session.release(),
  };
}

async function addProducts(session: Session, moments: Moments, rows: Float32Array, targets?: Float32Array) {
  const { columns, gram, cross, sum, targetSum } = moments;
  const count = rows.length / columns;
  if (count === 0) return;
  const a = float32([count, columns], rows);
  addTo(gram, await product(session, a, a));
  addColumns(sum, rows);
  if (targets) {
    addTo(cross, await product(session, a, float32([count, moments.targets], targets)));
    addColumns(targetSum, targets);
  }
  moments.count += count;
}

async function product(session: Session, a: Tensor, b: Tensor): Promise<Float32Array> {
  return (await session.run({ a, b }))['product']?.data as Float32Array;
}

function addTo(sums: Float64Array, values: Float32Array): void {
  for (let i = 0; i < sums.length; i++) sums[i] = (sums[i] as number) + (values[i] as number);
}

function addColumns(sums: Float64Array, rows: Float32Array): void {
  const { length } = sums;
  for (let i = 0; i < rows.length; i++) sums[i % length] = (sums[i % length] as number) + (rows[i] as number);
}
