import { describe, expect, test } from 'vitest';
import { predictorOf } from '../../../shared/schedule/cost.ts';
import { newLink } from '../../../shared/schedule/link.ts';
import { FASTEST, type ObjectiveInput, parseObjective, scoreOf } from '../../../shared/schedule/objective.ts';
import { costTable } from '../../../shared/schedule/table.ts';
import { QUIET_LINK, sampleSnapshot } from './sample-snapshot.ts';

const objective = (input: ObjectiveInput) => parseObjective(input, 'objective');

/** A choice of the sample plan over a link that is not known for sure. */
function predictorAt(k: number, tier: string | null) {
  const snapshot = sampleSnapshot({ link: newLink(QUIET_LINK) });
  const predictor = predictorOf(snapshot);
  const row = costTable(snapshot.plan, snapshot.target).rows.find((each) => each.k === k && each.tier === tier);
  if (!row) throw new Error('no such row');
  predictor.row(row);
  return predictor;
}

describe('an objective', () => {
  test('is time alone where nothing is said', () => {
    const predictor = predictorAt(1, 'q8');
    expect(scoreOf(FASTEST, predictor, 0.5)).toBe(predictor.totalMs);
    expect(objective({})).toEqual(FASTEST);
  });

  test.each([
    ['a weight below 0', { msPerJoule: -1 }],
    ['a weight that is no number', { msPerKilobyte: Number.NaN }],
    ['a weight without end', { msPerOffload: Number.POSITIVE_INFINITY }],
    ['a quantile of all', { latency: 1 }],
    ['a quantile below the median', { latency: 0.4 }],
    ['a word that is none', { latency: 'median' }],
    ['to be surer than can be', { deadlineProbability: 1 }],
    ['to explore with more than a fifth', { exploration: 0.3 }],
    ['to keep to what is twice as bad', { hysteresis: 0.6 }],
    ['what there is not', { msPerWatt: 1 }],
  ])('refuses %s', (_, input) => {
    expect(() => parseObjective(input, 'objective')).toThrow(expect.objectContaining({ code: 'BAD_CONFIG' }));
  });

  test('adds what each thing is worth', () => {
    const predictor = predictorAt(1, 'q8');
    const more = (input: ObjectiveInput, lost: number | null = null) =>
      scoreOf(objective(input), predictor, lost) - predictor.totalMs;
    expect(more({ msPerJoule: 100 })).toBeCloseTo(100 * predictor.joules, 9);
    expect(more({ msPerKilobyte: 10 })).toBeCloseTo(10 * (predictor.bytes / 1000), 9);
    expect(more({ msPerOffload: 7 })).toBeCloseTo(7, 9);
    expect(more({ msPerPoint: 3 }, 0.02)).toBeCloseTo(6, 9);
  });

  test('takes nothing for bytes and offloads that there are not, nor for accuracy that was gained or not measured', () => {
    const predictor = predictorAt(3, null);
    const weights = objective({ msPerKilobyte: 10, msPerOffload: 7, msPerPoint: 3 });
    for (const lost of [null, -0.1, 0]) expect(scoreOf(weights, predictor, lost)).toBe(predictor.totalMs);
  });

  test('of a quantile is what so many requests stay below', () => {
    const predictor = predictorAt(1, 'q8');
    const at = (latency: number) => scoreOf(objective({ latency }), predictor, null);
    const quantiles = [0.5, 0.6, 0.8, 0.9, 0.95, 0.99];
    for (const share of quantiles) expect(predictor.probabilityWithin(at(share))).toBeCloseTo(share, 3);
    expect(at(0.5)).toBeLessThan(predictor.totalMs);
  });
});
