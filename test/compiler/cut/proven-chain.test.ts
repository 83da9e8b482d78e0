import { describe, expect, test } from 'vitest';
import { buildProvenChain } from '../../../compiler/cut/proven-chain.ts';
import { buildChain } from '../../../compiler/cut/segments.ts';
import { seededRandom } from '../../../shared/random.ts';
import type { Runtime, Session } from '../../../shared/runtime.ts';
import type { Tensors } from '../../../shared/tensor.ts';
import { literal, modelOf } from '../run-graph.ts';
import { graphOf, randomTensor } from '../text-graph.ts';

/** The shape of a is needed behind t, which has all of its dimensions where GlobalLpPool and Relu are what they are. */
const model = () =>
  modelOf(graphOf('in x [N,3,M,8]\na = Relu(x)\ns = Shape(a)\nt = Transpose(a)\nu = Exp(t)\ny = Reshape(u, s)\nout y'));
const sample = (n: number, m: number): Tensors => ({ x: randomTensor([n, 3, m, 8], seededRandom(1)) });
const SAMPLES = [sample(2, 5), sample(3, 4)];
const CUTS = [['t']];

/** A runtime that counts what it loads, and may see other things in it. */
function watched(see: (session: Session) => Session = (session) => session) {
  const loaded: Uint8Array[] = [];
  const runtime: Runtime = {
    name: 'watched',
    load: async (bytes) => {
      loaded.push(bytes);
      return see(await literal.load(bytes));
    },
  };
  return { runtime, loaded };
}

describe('a chain whose shapes are made anew', () => {
  test('does so where samples bear out what is known', async () => {
    const chain = await buildProvenChain(model(), CUTS, literal, SAMPLES);
    expect(chain.boundaries[1]).toEqual(['t']);
    expect(chain.segments[1]?.inputs).toEqual(['t']);
  });

  test('sends them where the runtime infers what one of the samples contradicts', async () => {
    const liar = watched((session) => ({
      ...session,
      outputTypes:
        session.outputTypes?.map((type) => (type.name === 'a' ? { ...type, shape: [2, 3, 5, 8] } : type)) ?? [],
    }));
    for (const samples of [SAMPLES, SAMPLES.toReversed()]) {
      expect((await buildProvenChain(model(), CUTS, liar.runtime, samples)).boundaries[1]).toEqual(['t', 's']);
    }
    expect((await buildProvenChain(model(), CUTS, liar.runtime, [sample(2, 5)])).boundaries[1]).toEqual(['t']);
  });

  test('sends them where two dimensions of one symbol differ, and where ranks do', async () => {
    for (const shape of [
      [9, 3, 5, 8],
      [2, 3, 5, 8, 1],
    ]) {
      const odd = watched((session) => ({
        ...session,
        run: async (feeds) => {
          const made = await session.run(feeds);
          return { ...made, ...('a' in made && { a: randomTensor(shape, seededRandom(1)) }) };
        },
      }));
      expect((await buildProvenChain(model(), CUTS, odd.runtime, [sample(2, 5)])).boundaries[1]).toEqual(['t', 's']);
    }
  });

  test('sends them where no sample runs', async () => {
    const none = [{ x: randomTensor([2, 4], seededRandom(1)) }];
    expect((await buildProvenChain(model(), CUTS, literal, none)).boundaries[1]).toEqual(['t', 's']);
  });

  test('is what it always was where no shape would cross, and nothing is loaded to find out', async () => {
    const { runtime, loaded } = watched();
    const chain = await buildProvenChain(model(), [['a']], runtime, SAMPLES);
    expect(chain).toEqual(buildChain(model(), [['a']]));
    expect(loaded).toEqual([]);
  });

  test('looks only at what crosses and what it is of', async () => {
    const { runtime, loaded } = watched();
    await buildProvenChain(model(), CUTS, runtime, SAMPLES);
    const outputs = (await literal.load(loaded[1] as Uint8Array)).outputNames;
    expect([...outputs].sort()).toEqual(['a', 't', 'y']);
  });
});
