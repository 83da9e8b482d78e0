import { describe, expect, test } from 'vitest';
import { smallPlan } from '../../client/testkit/small-plan.ts';
import { checkAgainstPlans } from '../../server/check-config.ts';
import { parseServerConfig } from '../../server/config.ts';

const CONFIG = {
  bundles: ['b'],
  policy: { aliases: { features: 'h' }, labels: { public: 'input', personal: 'features', deep: 'h', secret: 'local' } },
  credentials: {
    anonymous: { labels: ['public'] },
    tokens: [{ name: 'staff', sha256: '0'.repeat(64), labels: ['deep'] }],
  },
  origins: ['https://app.example', '*'],
};
const check = (changes: object) =>
  checkAgainstPlans(parseServerConfig({ ...CONFIG, ...changes }, 'c.json'), [smallPlan()]);

describe('a configuration', () => {
  test('whose names all mean something is taken', () => {
    expect(check({})).toEqual([]);
  });

  test.each([
    ['a floor that is a boundary of no plan', { policy: { labels: { public: 'inptu', deep: 'h' } } }, 'inptu'],
    [
      'an alias of one',
      { policy: { aliases: { features: 'gone' }, labels: { public: 'features', deep: 'h' } } },
      'features',
    ],
    [
      'a label of anonymous clients that the policy does not know',
      { credentials: { anonymous: { labels: ['publik'] } } },
      'publik',
    ],
    [
      'a label of a token that the policy does not know',
      { credentials: { tokens: [{ name: 'x', sha256: '0'.repeat(64), labels: ['staf'] }] } },
      'staf',
    ],
    ['an origin with a path', { origins: ['http://127.0.0.1:9000/x'] }, '9000/x'],
    ['an origin without a scheme', { origins: ['app.example'] }, 'app.example'],
  ])('with %s is refused (BAD_CONFIG)', (_, changes, word) => {
    expect(() => check(changes)).toThrow(
      expect.objectContaining({ code: 'BAD_CONFIG', message: expect.stringContaining(word) }),
    );
  });

  test('that lets nobody in is told of', () => {
    expect(check({ credentials: {} })).toEqual(['credentials lets nobody in: no client can connect']);
  });
});
