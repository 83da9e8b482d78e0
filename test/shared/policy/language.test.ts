import { describe, expect, test } from 'vitest';
import { placesIn } from '../../../shared/json-lines.ts';
import { LABELS_MAX, OVERRIDES_MAX, parsePolicy } from '../../../shared/policy/language.ts';
import { tandemError } from '../tandem-error.ts';

const parse = (value: unknown) => parsePolicy(value, 'policy');
const NO_OVERRIDES = { networks: {}, regions: {}, tenants: {} };

describe('parsing a policy', () => {
  test('takes a floor alone, and one without aliases', () => {
    expect(parse({ labels: { open: 'input' } })).toEqual({
      aliases: {},
      labels: { open: { from: 'input', ...NO_OVERRIDES } },
    });
  });

  test('takes everything that can be said of a label', () => {
    const own = {
      ...{ from: 'h', leakageMax: 0.3, tiers: ['q4', 'q6'], retain: false },
      noise: { type: 'laplace', scale: 0.5, clip: 3 },
    };
    const overrides = { networks: { cellular: 'local' }, regions: { eu: own }, tenants: { clinic: { tiers: ['q4'] } } };
    expect(parse({ labels: { medical: { ...own, ...overrides } } }).labels['medical']).toEqual({
      ...own,
      ...overrides,
      networks: { cellular: { from: 'local' } },
    });
  });

  test.each(['input', 'local'])('refuses an alias named %s, and one that hides it', (word) => {
    const named = { aliases: { [word]: 'a' }, labels: {} };
    expect(() => parse(named)).toThrow(tandemError('BAD_CONFIG', `${word} is a word of the policy`));
    const hiding = { aliases: { whatever: word }, labels: {} };
    expect(() => parse(hiding)).toThrow(tandemError('BAD_CONFIG', 'policy: aliases.whatever: expected the name'));
  });

  const many = (count: number, value: unknown) =>
    Object.fromEntries(Array.from({ length: count }, (_, i) => [`name-${i}`, value]));
  const label = (rule: unknown) => ({ labels: { l: rule } });
  test.each<[string, unknown, string]>([
    ['no policy at all', null, 'policy: expected'],
    ['no labels', {}, 'policy: labels: expected Object, got nothing'],
    ['a floor that is an index', label(0), 'policy: labels.l: expected Object, got 0'],
    ['an empty floor', label(''), 'policy: labels.l'],
    ['an alias of nothing', { aliases: { a: '' }, labels: {} }, 'policy: aliases.a'],
    ['a label that is too long', { labels: { ['x'.repeat(65)]: 'input' } }, 'policy: labels'],
    ['too many labels', { labels: many(LABELS_MAX + 1, 'local') }, 'policy: labels: expected at most 256 entries'],
    [
      'terms that say nothing of where',
      label({ tiers: ['q4'] }),
      'policy: labels.l: expected from, leakageMax or both',
    ],
    [
      'a word that is none of the language',
      label({ from: 'h', leekageMax: 1 }),
      'policy: labels.l.leekageMax: is not known',
    ],
    ['a key of a label at the top', { labels: {}, leakageMax: 0.1 }, 'policy: leakageMax: is not known'],
    ['a ceiling above 1', label({ leakageMax: 30 }), 'policy: labels.l.leakageMax: expected <=1, got 30'],
    ['a ceiling that is no number', label({ leakageMax: '30 %' }), 'policy: labels.l.leakageMax: expected number'],
    ['no tier', label({ from: 'h', tiers: [] }), 'policy: labels.l.tiers'],
    ['a noise of no kind', label({ from: 'h', noise: { type: 'pink', scale: 1 } }), 'policy: labels.l.noise.type'],
    ['a noise of nothing', label({ from: 'h', noise: { type: 'laplace', scale: 0 } }), 'policy: labels.l.noise.scale'],
    ['more dropout than all', label({ from: 'h', noise: { type: 'dropout', scale: 2 } }), 'policy: labels.l.noise'],
    ['retain in words', label({ from: 'h', retain: 'no' }), 'policy: labels.l.retain'],
    [
      'a network that there is not',
      label({ from: 'h', networks: { '5g': 'local' } }),
      'policy: labels.l.networks.5g: expected ("bluetooth" | ',
    ],
    [
      'a bad override',
      label({ from: 'h', tenants: { a: { leakageMax: -1 } } }),
      'policy: labels.l.tenants.a.leakageMax',
    ],
    [
      'overrides in an override',
      label({ from: 'h', tenants: { a: { regions: {} } } }),
      'policy: labels.l.tenants.a.regions',
    ],
    ['too many overrides', label({ from: 'h', tenants: many(OVERRIDES_MAX + 1, 'local') }), 'policy: labels.l.tenants'],
  ])('refuses %s', (_, value, message) => {
    expect(() => parse(value)).toThrow(tandemError('BAD_CONFIG', message));
  });

  const lost = ['__proto__', 'constructor', 'prototype'];
  test.each(lost)('refuses %s as a name: records would lose it, and what it says', (name) => {
    const rule = (key: string) => JSON.parse(`{ "from": "input", "${key}": { "${name}": "local" } }`);
    const odd = JSON.parse(`{ "${name}": "local" }`);
    const refused = (value: unknown, at: string) =>
      expect(() => parse(value)).toThrow(tandemError('BAD_CONFIG', `policy: ${at}${name}: ${name} cannot be a name`));
    for (const key of ['tenants', 'regions', 'networks']) refused(label(rule(key)), `labels.l.${key}.`);
    refused({ labels: odd }, 'labels.');
    refused({ aliases: odd, labels: {} }, 'aliases.');
    refused({ labels: {}, tenants: odd }, 'tenants.');
  });

  test('names the line of a key that is none', () => {
    const json = '{\n  "labels": { "open": "input" },\n  "networks": { "cellular": "local" }\n}';
    expect(() => parsePolicy(JSON.parse(json), placesIn('policy.json', json))).toThrow(
      tandemError('BAD_CONFIG', 'policy.json:3: networks: is not known'),
    );
  });

  test('names the line of a file', () => {
    const json = `{
  "aliases": {},
  "labels": {
    "open": "input",
    "medical": {
      "from": "features",
      "leakageMax": "a lot"
    }
  }
}`;
    expect(() => parsePolicy(JSON.parse(json), placesIn('policy.json', json))).toThrow(
      tandemError('BAD_CONFIG', 'policy.json:7: labels.medical.leakageMax: expected number, got "a lot"'),
    );
  });
});
