import { describe, expect, test } from 'vitest';
import { boundaryTensors, checkSession, runSegment, runSegments } from '../../shared/chain.ts';
import type { Session } from '../../shared/runtime.ts';
import { float32, type Tensor, type Tensors } from '../../shared/tensor.ts';
import { chainPlan, samplePlan } from './sample-plan.ts';
import { tandemError } from './tandem-error.ts';

const plan = samplePlan();

function scalar(value: number): Tensor {
  return float32([], Float32Array.of(value));
}

/** A session whose every output is the sum of its inputs plus 1, and which remembers what it was fed. */
function sumSession(outputNames: readonly string[]): Session & { readonly fed: Tensors[] } {
  const fed: Tensors[] = [];
  return {
    fed,
    inputNames: [],
    outputNames,
    async run(feeds) {
      fed.push(feeds);
      const sum = Object.values(feeds).reduce((total, { data }) => total + Number(data[0]), 1);
      return Object.fromEntries(outputNames.map((name) => [name, scalar(sum)]));
    },
    async release() {},
  };
}

describe('running a segment', () => {
  test('passes a skip tensor by, and lets go of what nobody needs', async () => {
    const session = sumSession(['b']);
    const live = { a: scalar(5), x: scalar(1) };
    expect(await runSegment(plan, session, 1, live)).toEqual({ b: scalar(6), a: scalar(5) });
  });

  test('feeds the session what the segment reads and nothing else', async () => {
    const session = sumSession(['b']);
    await runSegment(plan, session, 1, { a: scalar(5), x: scalar(1) });
    expect(session.fed).toEqual([{ a: scalar(5) }]);
  });

  test('takes what was made over what passes by', async () => {
    const again = chainPlan([['a'], ['a'], ['y']]);
    expect(await runSegment(again, sumSession(['a']), 0, { a: scalar(1) })).toEqual({ a: scalar(2) });
  });

  test('fails with BAD_TENSOR where an input is missing', async () => {
    const running = runSegment(plan, sumSession(['y']), 2, { b: scalar(1) });
    await expect(running).rejects.toThrow(tandemError('BAD_TENSOR', 'expected a tensor called a, got b'));
  });

  test('fails with BAD_TENSOR where an output is missing', async () => {
    const running = runSegment(plan, sumSession([]), 0, { x: scalar(1) });
    await expect(running).rejects.toThrow(tandemError('BAD_TENSOR', 'expected a tensor called a, got x'));
  });

  test('fails with BAD_BOUNDARY behind the last', async () => {
    const running = runSegment(plan, sumSession([]), 3, { y: scalar(1) });
    await expect(running).rejects.toThrow(tandemError('BAD_BOUNDARY', 'no segment behind boundary 3'));
  });

  test('fails with BAD_TENSOR for a missing tensor named like a property of every object', async () => {
    const odd = chainPlan([['x'], ['constructor'], ['y']]);
    await expect(runSegment(odd, sumSession(['a']), 0, { x: scalar(1) })).rejects.toThrow(tandemError('BAD_TENSOR'));
  });
});

describe('a loaded model', () => {
  const session = (inputNames: readonly string[], outputNames: readonly string[]): Session => ({
    ...sumSession(outputNames),
    inputNames,
  });

  test('is the segment of the plan where it reads and makes its tensors, in any order', () => {
    expect(() => checkSession(plan, session(['a', 'b'], ['y']), 2)).not.toThrow();
    expect(() => checkSession(plan, session(['a'], ['more', 'b']), 1)).not.toThrow();
  });

  test.each([
    ['reads another tensor', ['x'], ['b'], 1],
    ['reads a tensor more', ['a', 'x'], ['b'], 1],
    ['makes another tensor', ['a'], ['y'], 1],
    ['makes nothing', ['a'], [], 1],
    ['stands behind the last boundary', ['y'], ['z'], 3],
  ])('is refused with BAD_BUNDLE where it %s', (_, inputs, outputs, k) => {
    const refusal = tandemError('BAD_BUNDLE', `expected segment ${k + 1} to make`);
    expect(() => checkSession(plan, session(inputs, outputs), k)).toThrow(refusal);
  });
});

describe('running segments', () => {
  const sessions = [['a'], ['b'], ['y']].map(sumSession);

  test('goes from any boundary to any other', async () => {
    const run = (from: number, to: number, tensors: Tensors) => runSegments(plan, sessions, { from, to, tensors });
    const a = scalar(2);
    const b = scalar(3);
    expect(await run(0, 1, { x: scalar(1) })).toEqual({ a });
    expect(await run(0, 2, { x: scalar(1) })).toEqual({ b, a });
    expect(await run(0, 3, { x: scalar(1) })).toEqual({ y: scalar(6) });
    expect(await run(2, 3, { b, a })).toEqual({ y: scalar(6) });
    expect(await run(2, 2, { b, a })).toEqual({ b, a });
  });

  test('fails with BAD_BOUNDARY where a segment is not loaded', async () => {
    const running = runSegments(plan, sessions.slice(0, 2), { from: 0, to: 3, tensors: { x: scalar(1) } });
    await expect(running).rejects.toThrow(tandemError('BAD_BOUNDARY', 'segment 3 is not loaded'));
  });
});

describe('the tensors of a boundary', () => {
  test('are in the order of the plan', () => {
    const live = { a: scalar(1), x: scalar(0), b: scalar(2) };
    expect(boundaryTensors(plan, 2, live)).toEqual([live.b, live.a]);
  });

  test('must all be there', () => {
    expect(() => boundaryTensors(plan, 2, { b: scalar(1) })).toThrow(tandemError('BAD_TENSOR', 'called a, got b'));
    expect(() => boundaryTensors(plan, 4, {})).toThrow(tandemError('BAD_BOUNDARY'));
  });
});
