import * as ort from 'onnxruntime-node';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Matrix } from '../../../compiler/privacy/matrices.ts';
import { type Network, newAdam, newNetwork, newParameters } from '../../../compiler/privacy/network.ts';
import { nodeRuntime } from '../../../runtimes/onnxruntime-node.ts';
import { gaussian, seededRandom } from '../../../shared/random.ts';

const WIDTHS = [5, 7, 4, 3];

let network: Network;
beforeAll(async () => {
  network = await newNetwork(nodeRuntime(ort, { threads: 1 }), WIDTHS.length - 1);
});
afterAll(() => network.release());

function drawn(rows: number, columns: number, random: () => number): Matrix {
  return { rows, columns, data: Float32Array.from({ length: rows * columns }, () => gaussian(random)) };
}

/** In float64, a value at a time. */
function toldByHand(parameters: readonly Matrix[], x: Matrix, row: number): number[] {
  let values = Array.from(x.data.subarray(row * x.columns, (row + 1) * x.columns));
  for (let layer = 0; layer < WIDTHS.length - 1; layer++) {
    const [weights, offsets] = parameters.slice(2 * layer) as [Matrix, Matrix];
    const next = Array.from(offsets.data, (offset, to) =>
      values.reduce((sum, value, from) => sum + value * (weights.data[from * weights.columns + to] as number), offset),
    );
    values = layer === WIDTHS.length - 2 ? next : next.map((value) => Math.max(0, value));
  }
  return values;
}

/** Half the squares of what is told, each weighed. */
function lossByHand(parameters: readonly Matrix[], x: Matrix, weights: Float32Array): number {
  let loss = 0;
  for (let row = 0; row < x.rows; row++) {
    for (const [i, value] of toldByHand(parameters, x, row).entries()) {
      loss += 0.5 * (weights[row * 3 + i] as number) * value * value;
    }
  }
  return loss;
}

describe('the network', () => {
  test('tells what its layers say one value at a time, and nothing before it has learned', async () => {
    const random = seededRandom(1);
    const x = drawn(6, 5, random);
    const fresh = newParameters(WIDTHS, random);
    expect((await network.tell(fresh, x)).data.every((value) => value === 0)).toBe(true);
    const parameters = fresh.map(({ rows, columns }) => drawn(rows, columns, random));
    const { data } = await network.tell(parameters, x);
    for (let row = 0; row < 6; row++) {
      for (const [i, value] of toldByHand(parameters, x, row).entries())
        expect(data[row * 3 + i]).toBeCloseTo(value, 4);
    }
  });

  test('has the gradients that small changes of its parameters show', async () => {
    const random = seededRandom(2);
    const x = drawn(6, 5, random);
    const parameters = newParameters(WIDTHS, random).map(({ rows, columns }) => drawn(rows, columns, random));
    const weights = Float32Array.from({ length: 18 }, () => random());
    const gradients = await network.learn(parameters, x, (told) =>
      told.data.map((value, i) => value * (weights[i] ?? 0)),
    );
    const [step, seen] = [1e-3, [] as number[]];
    for (const [i, { data }] of parameters.entries()) {
      for (const [j, value] of data.entries()) {
        data[j] = value + step;
        const up = lossByHand(parameters, x, weights);
        data[j] = value - step;
        const down = lossByHand(parameters, x, weights);
        data[j] = value;
        const slope = (up - down) / (2 * step);
        const found = gradients[i]?.[j] as number;
        expect(Math.abs(found - slope)).toBeLessThan(0.02 * (1 + Math.abs(slope)));
        seen.push(Math.abs(slope));
      }
    }
    expect(seen.filter((slope) => slope > 0.1).length).toBeGreaterThan(40);
  });

  test('learns what no straight line tells: which of two numbers is larger in size', async () => {
    const runtime = nodeRuntime(ort, { threads: 1 });
    const small = await newNetwork(runtime, 2);
    const random = seededRandom(3);
    const parameters = newParameters([2, 16, 1], random);
    const adam = newAdam(parameters, 0);
    const x = drawn(200, 2, random);
    const truth = Float32Array.from({ length: 200 }, (_, i) => {
      return Math.abs(x.data[2 * i] as number) - Math.abs(x.data[2 * i + 1] as number);
    });
    const errorOf = ({ data }: Matrix) => data.reduce((sum, value, i) => sum + (value - (truth[i] ?? 0)) ** 2, 0) / 200;
    const before = errorOf(await small.tell(parameters, x));
    for (let step = 0; step < 400; step++) {
      const gradients = await small.learn(parameters, x, ({ data }) => {
        return data.map((value, i) => (value - (truth[i] ?? 0)) / 100);
      });
      adam.step(gradients, 0.02);
    }
    expect(errorOf(await small.tell(parameters, x))).toBeLessThan(before / 50);
    await small.release();
  });
});
