/**
 * A small network of rectified layers that is trained by gradient: products by the runtime's kernels, and Adam (Kingma and Ba,
 * 2015) here. What its outputs are worth is the caller's to say: it hands in their gradient.
 */

import { gaussian } from '../../shared/random.ts';
import type { Runtime } from '../../shared/runtime.ts';
import { float32, type Tensors } from '../../shared/tensor.ts';
import { makeNode, type Node } from '../graph/graph.ts';
import { load, type Matrix } from './matrices.ts';

/** Weights [from, to] and offsets [1, to], by turns, from the first layer to the last. */
export type Parameters = readonly Matrix[];

export interface Network {
  /** Outputs for each row of x. */
  tell(parameters: Parameters, x: Matrix): Promise<Matrix>;
  /**
   * Gradients of the parameters.
   * @param gradientOf of outputs
   */
  learn(parameters: Parameters, x: Matrix, gradientOf: (told: Matrix) => Float32Array): Promise<Float32Array[]>;
  release(): Promise<void>;
}

/** As He et al. draw them (2015), and zeros in the last layer: at first it tells nothing. */
export function newParameters(widths: readonly number[], random: () => number): Matrix[] {
  return widths.slice(1).flatMap((columns, layer) => {
    const rows = widths[layer] as number;
    const scale = layer === widths.length - 2 ? 0 : Math.sqrt(2 / rows);
    const weights = Float32Array.from({ length: rows * columns }, () => scale * gaussian(random));
    return [
      { rows, columns, data: weights },
      { rows: 1, columns, data: new Float32Array(columns) },
    ];
  });
}

/** @param layers hidden ones and the last */
export async function newNetwork(runtime: Runtime, layers: number): Promise<Network> {
  const order = Array.from({ length: layers }, (_, i) => i);
  const names = order.flatMap((i) => [`w${i}`, `b${i}`]);
  const hidden = order.slice(1).map((i) => `h${i}`);
  const before = (i: number) => (i === 0 ? 'x' : `h${i}`);
  const forward: Node[] = order.flatMap((i) => [
    makeNode('MatMul', [before(i), `w${i}`], [`p${i}`]),
    makeNode('Add', [`p${i}`, `b${i}`], [i === layers - 1 ? 'told' : `m${i}`]),
    ...(i === layers - 1 ? [] : [makeNode('Relu', [`m${i}`], [`h${i + 1}`])]),
  ]);
  const backward: Node[] = order
    .toReversed()
    .flatMap((i) => [
      makeNode('Transpose', [before(i)], [`t${i}`]),
      makeNode('MatMul', [`t${i}`, `g${i}`], [`dw${i}`]),
      ...(i === 0
        ? []
        : [
            makeNode('Transpose', [`w${i}`], [`v${i}`]),
            makeNode('MatMul', [`g${i}`, `v${i}`], [`q${i}`]),
            makeNode('Sign', [`h${i}`], [`s${i}`]),
            makeNode('Mul', [`q${i}`, `s${i}`], [`g${i - 1}`]),
          ]),
    ]);
  const last = `g${layers - 1}`;
  const weights = order.slice(1).map((i) => `w${i}`);
  const telling = await load(runtime, ['x', ...names], ['told', ...hidden], forward);
  const learning = await load(
    runtime,
    ['x', ...hidden, last, ...weights],
    order.flatMap((i) => (i === layers - 1 ? [`dw${i}`] : [`dw${i}`, `g${i}`])),
    backward,
  );
  const feedsOf = (parameters: Parameters) =>
    names.map((name, i) => [name, tensorOf(parameters[i] as Matrix)] as const);
  return {
    async tell(parameters, x) {
      return matrixOf(await telling.run(Object.fromEntries([['x', tensorOf(x)], ...feedsOf(parameters)])), 'told');
    },
    async learn(parameters, x, gradientOf) {
      const feeds = Object.fromEntries([['x', tensorOf(x)], ...feedsOf(parameters)]);
      const seen = await telling.run(feeds);
      const told = matrixOf(seen, 'told');
      const gradient = gradientOf(told);
      const kept = Object.fromEntries(hidden.map((name) => [name, seen[name] as Tensors[string]]));
      const own = Object.fromEntries(weights.map((name) => [name, feeds[name] as Tensors[string]]));
      const found = await learning.run({
        ...{ x: feeds['x'] as Tensors[string], ...kept, ...own },
        [last]: float32([told.rows, told.columns], gradient),
      });
      return order.flatMap((i) => {
        const of = i === layers - 1 ? { ...told, data: gradient } : matrixOf(found, `g${i}`);
        return [found[`dw${i}`]?.data as Float32Array, columnSums(of)];
      });
    },
    async release() {
      await telling.release();
      await learning.release();
    },
  };
}

export interface Adam {
  step(gradients: readonly Float32Array[], rate: number): void;
}

/** Changes the parameters in place. @param decay of weights, decoupled (Loshchilov and Hutter, 2019) */
export function newAdam(parameters: Parameters, decay: number): Adam {
  const [beta1, beta2, epsilon] = [0.9, 0.99, 1e-8];
  const means = parameters.map(({ data }) => new Float32Array(data.length));
  const squares = parameters.map(({ data }) => new Float32Array(data.length));
  let steps = 0;
  return {
    step(gradients, rate) {
      steps++;
      const size = (rate * Math.sqrt(1 - beta2 ** steps)) / (1 - beta1 ** steps);
      for (const [i, { data, rows }] of parameters.entries()) {
        const [g, m, v] = [gradients[i], means[i], squares[i]] as [Float32Array, Float32Array, Float32Array];
        const kept = rows > 1 ? 1 - rate * decay : 1;
        for (let j = 0; j < data.length; j++) {
          const gradient = g[j] as number;
          const mean = beta1 * (m[j] as number) + (1 - beta1) * gradient;
          const square = beta2 * (v[j] as number) + (1 - beta2) * gradient * gradient;
          m[j] = mean;
          v[j] = square;
          data[j] = kept * (data[j] as number) - (size * mean) / (Math.sqrt(square) + epsilon);
        }
      }
    },
  };
}

function columnSums({ columns, data }: Matrix): Float32Array {
  const sums = new Float32Array(columns);
  for (let i = 0; i < data.length; i++) sums[i % columns] = (sums[i % columns] as number) + (data[i] as number);
  return sums;
}

function tensorOf({ rows, columns, data }: Matrix): Tensors[string] {
  return float32([rows, columns], data);
}

function matrixOf(tensors: Tensors, name: string): Matrix {
  const [rows = 0, columns = 0] = tensors[name]?.shape ?? [];
  return { rows, columns, data: tensors[name]?.data as Float32Array };
}
