import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Plan } from '../../shared/plan.ts';
import { assertMaySend, floorOf, parsePolicy } from '../../shared/policy.ts';
import { chainPlan, samplePlan } from './sample-plan.ts';
import { orRefusal, tandemError } from './tandem-error.ts';

const parse = (value: unknown) => parsePolicy(value, 'policy');
const plan = chainPlan([['x'], ['a'], ['b'], ['c'], ['y']]);
const NOTHING = 4;

const policy = parse({
  aliases: { features: 'b', gone: 'removed', 'the input': 'input' },
  labels: {
    open: 'input',
    secret: 'local',
    named: 'a',
    aliased: 'features',
    first: 'x',
    answer: 'y',
    unknown: 'z',
    dangling: 'gone',
    indirect: 'the input',
  },
});

const floorK = (label: string, of: Plan = plan) => floorOf(policy, label, of).k;

describe('the floor of a label', () => {
  test('is the input, a named tensor, an aliased one, or below everything', () => {
    expect(floorK('open')).toBe(0);
    expect(floorK('first')).toBe(0);
    expect(floorK('named')).toBe(1);
    expect(floorK('aliased')).toBe(2);
    expect(floorK('secret')).toBe(NOTHING);
  });

  test('says why', () => {
    expect(floorOf(policy, 'open', plan).reason).toBe('open may be sent as it is');
    expect(floorOf(policy, 'aliased', plan).reason).toBe('aliased may be sent from features on');
    expect(floorOf(policy, 'secret', plan).reason).toBe('secret stays on the device');
    for (const label of ['dangling', 'answer']) {
      expect(floorOf(policy, label, plan).reason).toContain('no boundary of this plan is there');
    }
    for (const label of ['nobody', 'constructor', '__proto__']) {
      expect(floorOf(policy, label, plan).reason).toBe(`the policy does not know the label ${label}`);
    }
  });

  test.each([
    ['a label that the policy does not know', 'nobody'],
    ['no label', ''],
    ['a tensor that the plan does not have', 'unknown'],
    ['an alias of a tensor that the plan does not have', 'dangling'],
    ['a tensor that is made only as an output', 'answer'],
    ['an alias that hides the word input', 'indirect'],
    ['__proto__', '__proto__'],
    ['constructor', 'constructor'],
    ['toString', 'toString'],
    ['hasOwnProperty', 'hasOwnProperty'],
  ])('lets nothing leave for %s', (_, label) => {
    expect(floorK(label)).toBe(NOTHING);
    for (const k of [0, 1, 2, 3, NOTHING]) {
      expect(() => assertMaySend(policy, label, plan, k)).toThrow(tandemError('POLICY_DENIED'));
    }
  });

  test('lets nothing leave for a floor named like a property of every object', () => {
    for (const floor of ['__proto__', 'constructor', 'toString']) {
      expect(floorOf(parse({ labels: { odd: floor } }), 'odd', plan).k).toBe(NOTHING);
    }
  });

  test('may be a tensor named like a property of every object', () => {
    const odd = chainPlan([['x'], ['constructor'], ['y']]);
    expect(floorOf(parse({ labels: { odd: 'constructor' } }), 'odd', odd).k).toBe(1);
  });

  test('moves with the tensor when a plan is cut elsewhere', () => {
    expect(floorK('aliased', chainPlan([['x'], ['b'], ['y']]))).toBe(1);
    expect(floorK('aliased', chainPlan([['x'], ['a'], ['c'], ['y']]))).toBe(3);
  });
});

describe('a skip connection', () => {
  test('that carries something shallower past the floor pushes it deeper', () => {
    expect(floorK('aliased', chainPlan([['x'], ['a'], ['b', 'a'], ['c', 'a'], ['d'], ['y']]))).toBe(4);
    expect(floorK('aliased', chainPlan([['x'], ['x', 'a'], ['x', 'b'], ['c'], ['y']]))).toBe(3);
  });

  test('that ends only at the output lets nothing leave', () => {
    expect(floorOf(parse({ labels: { named: 'b' } }), 'named', samplePlan()).k).toBe(3);
  });

  test('of what is no shallower than the floor does not push it', () => {
    expect(floorK('named', chainPlan([['x'], ['a', 'e'], ['b', 'e'], ['y']]))).toBe(1);
    expect(floorK('aliased', chainPlan([['x'], ['a'], ['b'], ['c', 'b'], ['y']]))).toBe(2);
  });
});

describe('asserting that a boundary may be sent', () => {
  test('passes from the floor on, up to the last boundary before the output', () => {
    const passing = (label: string) =>
      [-1, 0, 1, 2, 3, 4, 5].filter((k) => orRefusal(() => assertMaySend(policy, label, plan, k) ?? true) !== null);
    expect(passing('open')).toEqual([0, 1, 2, 3]);
    expect(passing('named')).toEqual([1, 2, 3]);
    expect(passing('aliased')).toEqual([2, 3]);
    expect(passing('secret')).toEqual([]);
  });

  test('says what was refused and why', () => {
    expect(() => assertMaySend(policy, 'aliased', plan, 1)).toThrow(
      tandemError('POLICY_DENIED', 'boundary 1 of sample may not be sent: aliased may be sent from features on'),
    );
  });

  test('fails closed for a k that is no number', () => {
    expect(() => assertMaySend(policy, 'open', plan, Number.NaN)).toThrow(tandemError('POLICY_DENIED'));
  });
});

describe('for any plan', () => {
  /** Tensor m0, m1 ... is made at its boundary; each lives on for some boundaries more. */
  const plans = fc
    .array(fc.array(fc.nat(4), { minLength: 1, maxLength: 3 }), { minLength: 2, maxLength: 8 })
    .map((rows) =>
      chainPlan(
        rows.map((_, k) =>
          rows.flatMap((lives, made) =>
            lives.flatMap((life, i) => (made <= k && k <= made + life ? [tensorName(made, i)] : [])),
          ),
        ),
      ),
    );
  const tensorName = (made: number, i: number) => `t${made}-${i}`;
  const madeAt = (name: string) => Number(name.slice(1).split('-')[0]);
  const floors = fc.tuple(fc.nat(9), fc.nat(2));

  test('exactly those k may be sent at which nothing crosses that was made before the floor', () => {
    fc.assert(
      fc.property(plans, floors, fc.boolean(), (chain, [made, i], isAliased) => {
        const floor = tensorName(made, i);
        const own = parse(
          isAliased ? { aliases: { floor }, labels: { label: 'floor' } } : { labels: { label: floor } },
        );
        const names = chain.boundaries.map(({ tensors }) => tensors.map(({ name }) => name));
        const depth = chain.segments.length;
        const isKnown = names.some((carried) => carried.includes(floor));
        for (let k = 0; k <= depth + 1; k++) {
          const passed = orRefusal(() => assertMaySend(own, 'label', chain, k) ?? true) !== null;
          const isDeepEnough = k >= made && (names[k] ?? []).every((name) => madeAt(name) >= made);
          expect(passed).toBe(isKnown && k < depth && isDeepEnough);
        }
      }),
      { numRuns: 500 },
    );
  });

  test('the output and what lies behind it is never sent, whatever the label', () => {
    const labels = fc.oneof(fc.constantFrom('open', 'secret', 'named', 'aliased', 'first'), fc.string());
    fc.assert(
      fc.property(plans, labels, fc.nat(3), (chain, label, beyond) => {
        const k = chain.segments.length + beyond;
        expect(() => assertMaySend(policy, label, chain, k)).toThrow(tandemError('POLICY_DENIED'));
      }),
    );
  });

  test('a label that the policy does not list sends nothing', () => {
    fc.assert(
      fc.property(plans, fc.string(), fc.nat(9), (chain, label, k) => {
        fc.pre(!Object.hasOwn(policy.labels, label));
        expect(() => assertMaySend(policy, label, chain, k)).toThrow(tandemError('POLICY_DENIED'));
      }),
    );
  });
});

describe('parsing a policy', () => {
  test('takes one without aliases', () => {
    expect(parse({ labels: { open: 'input' } })).toEqual({ aliases: {}, labels: { open: 'input' } });
  });

  test.each(['input', 'local'])('refuses an alias named %s', (word) => {
    const value = { aliases: { [word]: 'a' }, labels: {} };
    expect(() => parse(value)).toThrow(tandemError('BAD_CONFIG', `${word} is a word of the policy`));
  });

  test.each<[string, unknown, string]>([
    ['no policy at all', null, 'policy: '],
    ['no labels', {}, 'policy: labels'],
    ['a floor that is an index', { labels: { open: 0 } }, 'policy: labels.open'],
    ['an empty floor', { labels: { open: '' } }, 'policy: labels.open'],
    ['an alias of nothing', { aliases: { a: '' }, labels: {} }, 'policy: aliases.a'],
    ['a label that is too long', { labels: { ['x'.repeat(65)]: 'input' } }, 'policy: labels'],
  ])('refuses %s', (_, value, message) => {
    expect(() => parse(value)).toThrow(tandemError('BAD_CONFIG', message));
  });
});
