import { describe, expect, test } from 'vitest';
import { smallPlan } from '../../client/testkit/small-plan.ts';
import { checkAgainstPlans } from '../../server/check-config.ts';
import { parseServerConfig } from '../../server/config.ts';
import { placesIn } from '../../shared/json-lines.ts';

const CONFIG = {
  bundles: ['b'],
  policy: { aliases: { features: 'h' }, labels: { public: 'input', personal: 'features', deep: 'h', secret: 'local' } },
  credentials: {
    anonymous: { labels: ['public'] },
    tokens: [{ name: 'staff', sha256: '0'.repeat(64), labels: ['deep'] }],
  },
  origins: ['https://app.example', '*'],
};
const LABELS = { public: 'input', deep: 'h' };
/** Labels with all the tiers that may be named. */
const large = (from: string) =>
  Object.fromEntries(
    Array.from({ length: 200 }, (_, i) => [`label-${i}`, { from, tiers: Array.from({ length: 32 }, () => 'webp-80') }]),
  );
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
    ['terms from a boundary of no plan', { policy: { labels: { ...LABELS, x: { from: 'gone' } } } }, 'gone'],
    [
      'an override from one',
      { policy: { labels: { ...LABELS, x: { from: 'h', networks: { wifi: 'gone' } } } } },
      'policy.labels.x.networks.wifi.from',
    ],
    [
      'a tier that no plan has',
      { policy: { labels: { ...LABELS, x: { from: 'h', tiers: ['q4', 'q5'] } } } },
      'policy.labels.x.tiers.1: expected tiers of a plan (webp-80, q8, q4), got q5',
    ],
    [
      'terms for credentials that nobody has',
      { policy: { labels: { ...LABELS, x: { from: 'h', tenants: { stuff: 'local' } } } } },
      'policy.labels.x.tenants.stuff: expected names of credentials (anonymous, staff), got stuff',
    ],
    [
      'terms by region, and no region',
      { policy: { labels: { ...LABELS, x: { from: 'h', regions: { eu: 'local' } } } } },
      'policy.labels.x.regions: expected a region of the gateway',
    ],
    [
      'more terms than fit a welcome',
      {
        policy: { labels: { ...LABELS, ...large('h') } },
        credentials: { anonymous: { labels: ['public', ...Object.keys(large('h'))] } },
      },
      'credentials.anonymous.labels: expected labels whose terms take up to',
    ],
    ['an origin with a path', { origins: ['http://127.0.0.1:9000/x'] }, '9000/x'],
    ['an origin without a scheme', { origins: ['app.example'] }, 'app.example'],
  ])('with %s is refused (BAD_CONFIG)', (_, changes, word) => {
    expect(() => check(changes)).toThrow(
      expect.objectContaining({ code: 'BAD_CONFIG', message: expect.stringContaining(word) }),
    );
  });

  test('whose wrong name stands in a file is refused with the line', () => {
    const json = JSON.stringify({ ...CONFIG, policy: { labels: { ...LABELS, x: { from: 'gone' } } } }, null, 2);
    const line = json.split('\n').findIndex((text) => text.includes('gone')) + 1;
    const config = parseServerConfig(JSON.parse(json), placesIn('tandem.json', json));
    expect(() => checkAgainstPlans(config, [smallPlan()])).toThrow(
      expect.objectContaining({
        message: expect.stringContaining(`tandem.json:${line}: policy.labels.x.from: expected input, local`),
      }),
    );
  });

  test('is told of a region that no label has terms for, and of a ceiling for what is not measured', () => {
    const labels = { ...LABELS, x: { leakageMax: 0.3, regions: { eu: 'local' } } };
    expect(check({ policy: { labels }, region: 'eu' })).toEqual([
      'c.json: policy.labels.x.leakageMax: small has no leakage measured, so nothing of it may be sent under a ceiling',
    ]);
    expect(
      check({ policy: { labels: { ...LABELS, x: { from: 'h', regions: { eu: 'local' } } } }, region: 'us' }),
    ).toEqual(['c.json: region: no label has terms for us, only for eu']);
  });

  test('that lets nobody in is told of', () => {
    expect(check({ credentials: {} })).toEqual(['credentials lets nobody in: no client can connect']);
  });
});
