import { expect, test } from 'vitest';
import { boundaryFlows } from '../../../compiler/samples/flows.ts';
import type { Plan } from '../../../shared/plan.ts';
import type { Session } from '../../../shared/runtime.ts';
import type { Tensors } from '../../../shared/tensor.ts';

const vector = (name: string) => ({ name, dtype: 'float32' as const, shape: [4] });
/** Three segments in a row: x -> a -> b -> y. */
const PLAN = {
  boundaries: ['x', 'a', 'b', 'y'].map((name) => ({ tensors: [vector(name)], tiers: [] })),
  segments: ['x', 'a', 'b'].map((name, k) => ({ inputs: [name], outputs: [['a', 'b', 'y'][k]] })),
} as unknown as Plan;
/** Bytes of one boundary of all samples. */
const BOUNDARY_BYTES = 3 * 4 * 4;

function counted() {
  const calls = { drawn: 0, runs: [0, 0, 0] };
  const sessions = PLAN.segments.map(({ inputs, outputs }, k) => ({
    run: async (given: Tensors) => {
      calls.runs[k] = (calls.runs[k] ?? 0) + 1;
      const { data } = given[inputs[0] as string] as Tensors[string];
      return { [outputs[0] as string]: tensorOf([...data].map((value) => Number(value) + 1)) };
    },
  })) as unknown as Session[];
  async function* inputs() {
    for (let i = 0; i < 3; i++) {
      calls.drawn++;
      yield { x: tensorOf([i, i, i, i]) };
    }
  }
  return { calls, sessions, inputs };
}

function tensorOf(values: number[]): Tensors[string] {
  return { dtype: 'float32', shape: [4], data: Float32Array.from(values) };
}

async function firsts(samples: AsyncIterable<Tensors>, name: string): Promise<number[]> {
  const found: number[] = [];
  for await (const tensors of samples) found.push(Number(tensors[name]?.data[0]));
  return found;
}

test('each segment is run once for a sample, however often its boundary is looked at', async () => {
  const { calls, sessions, inputs } = counted();
  const flows = boundaryFlows(PLAN, sessions, inputs);
  for (let pass = 0; pass < 3; pass++) {
    expect(await firsts(flows(0), 'x')).toEqual([0, 1, 2]);
    expect(await firsts(flows(1), 'a')).toEqual([1, 2, 3]);
    expect(await firsts(flows(3), 'y')).toEqual([3, 4, 5]);
  }
  expect(calls).toEqual({ drawn: 3, runs: [3, 3, 3] });
});

test('what does not fit is made again, from what is kept', async () => {
  const { calls, sessions, inputs } = counted();
  const flows = boundaryFlows(PLAN, sessions, inputs, BOUNDARY_BYTES);
  for (let pass = 0; pass < 2; pass++) expect(await firsts(flows(2), 'b')).toEqual([2, 3, 4]);
  expect(calls).toEqual({ drawn: 3, runs: [6, 6, 0] });
});

test('samples that were not looked at to the end are not taken for all', async () => {
  const { sessions, inputs } = counted();
  const flows = boundaryFlows(PLAN, sessions, inputs);
  for await (const _ of flows(1)) break;
  expect(await firsts(flows(1), 'a')).toEqual([1, 2, 3]);
});
