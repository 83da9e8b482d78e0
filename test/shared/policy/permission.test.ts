import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Plan, tierKey } from '../../../shared/plan.ts';
import { type Policy, parsePolicy, type RuleInput, type TermsInput } from '../../../shared/policy/language.ts';
import { leakageOf } from '../../../shared/policy/leakage.ts';
import { promises } from '../../../shared/policy/noises.ts';
import {
  type Circumstances,
  denialOf,
  denialOfSent,
  nothing,
  type Permission,
  permissionOf,
  permissionUnder,
  policyDenied,
  stricter,
} from '../../../shared/policy/permission.ts';
import { chainPlan, samplePlan } from '../sample-plan.ts';
import { orRefusal, tandemError } from '../tandem-error.ts';

const parse = (value: unknown) => parsePolicy(value, 'policy');
/** Every boundary but the output has one tier, `raw`. */
const chain = (boundaries: readonly (readonly string[])[]): Plan => {
  const plan = chainPlan(boundaries);
  const tiers = (k: number) => (k < boundaries.length - 1 ? [{ type: 'raw' as const, name: 'raw' }] : []);
  return { ...plan, boundaries: plan.boundaries.map(({ tensors }, k) => ({ tensors, tiers: tiers(k) })) };
};
const plan = chain([['x'], ['a'], ['b'], ['c'], ['y']]);
const NOTHING = 4;
const ANYWHERE: Circumstances = { networks: [], regions: [], tenants: [] };

const policy = parse({
  aliases: { features: 'b', gone: 'removed' },
  labels: {
    open: 'input',
    secret: 'local',
    named: 'a',
    aliased: 'features',
    first: 'x',
    answer: 'y',
    unknown: 'z',
    dangling: 'gone',
  },
});

const on = (own: Policy, label: string, of: Plan = plan) => permissionOf(own, label, of, ANYWHERE);
const floorK = (label: string, of: Plan = plan) => on(policy, label, of).floor;
const allowedOn = (label: string, of: Plan) =>
  of.boundaries.flatMap((_, k) => (denialOf(on(policy, label, of), k, 'raw') ? [] : [k]));
const reasonOf = (label: string) => denialOf(on(policy, label), 0, 'raw')?.reason;
const assertMaySend = (own: Policy, label: string, of: Plan, k: number) => {
  const denial = denialOf(on(own, label, of), k, 'raw');
  if (denial) throw policyDenied(of, k, denial);
};

describe('the floor of a label', () => {
  test('is the input, a named tensor, an aliased one, or below everything', () => {
    expect(floorK('open')).toBe(0);
    expect(floorK('first')).toBe(0);
    expect(floorK('named')).toBe(1);
    expect(floorK('aliased')).toBe(2);
    expect(floorK('secret')).toBe(NOTHING);
  });

  test('says why', () => {
    expect(reasonOf('open')).toBeUndefined();
    expect(reasonOf('aliased')).toBe('aliased may be sent from b on');
    expect(reasonOf('secret')).toBe('secret stays on the device');
    for (const label of ['dangling', 'answer']) {
      expect(reasonOf(label)).toContain('no boundary of this plan is there');
    }
    for (const label of ['nobody', 'constructor', '__proto__']) {
      expect(reasonOf(label)).toBe(`the policy does not know the label ${label}`);
    }
  });

  test.each([
    ['a label that the policy does not know', 'nobody'],
    ['no label', ''],
    ['a tensor that the plan does not have', 'unknown'],
    ['an alias of a tensor that the plan does not have', 'dangling'],
    ['a tensor that is made only as an output', 'answer'],
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
      expect(on(parse({ labels: { odd: floor } }), 'odd').floor).toBe(NOTHING);
    }
  });

  test('may be a tensor named like a property of every object', () => {
    const odd = chain([['x'], ['constructor'], ['y']]);
    expect(on(parse({ labels: { odd: 'constructor' } }), 'odd', odd).floor).toBe(1);
  });

  test('moves with the tensor when a plan is cut elsewhere', () => {
    expect(floorK('aliased', chain([['x'], ['b'], ['y']]))).toBe(1);
    expect(floorK('aliased', chain([['x'], ['a'], ['c'], ['y']]))).toBe(3);
  });
});

describe('a skip connection', () => {
  test('that carries something shallower past the floor pushes it deeper', () => {
    expect(floorK('aliased', chain([['x'], ['a'], ['b', 'a'], ['c', 'a'], ['d'], ['y']]))).toBe(4);
    expect(floorK('aliased', chain([['x'], ['x', 'a'], ['x', 'b'], ['c'], ['y']]))).toBe(3);
  });

  test('that ends only at the output lets nothing leave', () => {
    expect(on(parse({ labels: { named: 'b' } }), 'named', samplePlan()).floor).toBe(3);
  });

  test('of what is no shallower than the floor does not push it', () => {
    expect(allowedOn('aliased', chain([['x'], ['a'], ['b'], ['c', 'b'], ['d'], ['y']]))).toEqual([2, 3, 4]);
    expect(allowedOn('first', chain([['x'], ['a', 'x'], ['b', 'a'], ['y']]))).toEqual([0, 1, 2]);
  });
});

describe('a tensor beside the named one', () => {
  test('is not behind it: where both cross, nothing leaves', () => {
    expect(allowedOn('named', chain([['x'], ['a', 'e'], ['b', 'e'], ['c', 'b'], ['d'], ['y']]))).toEqual([3, 4]);
    expect(allowedOn('named', chain([['x'], ['e', 'a'], ['y']]))).toEqual([]);
    const permission = on(policy, 'named', chain([['x'], ['e', 'a'], ['y']]));
    expect(denialOf(permission, 1, 'raw')?.reason).toBe(
      'named may be sent from a on, and boundary 1 carries more than what is behind it',
    );
  });

  test('is not behind it where it goes on alone either', () => {
    expect(allowedOn('named', chain([['x'], ['a', 'e'], ['e'], ['c'], ['y']]))).toEqual([3]);
    expect(allowedOn('first', chain([['x', 'owner'], ['owner'], ['b'], ['y']]))).toEqual([2]);
  });

  test('is another input of the model: who names one does not mean the other, who says input means both', () => {
    const two = chain([['x', 'owner'], ['a', 'owner'], ['b'], ['y']]);
    expect(allowedOn('first', two)).toEqual([2]);
    expect(allowedOn('open', two)).toEqual([0, 1, 2]);
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
      tandemError('POLICY_DENIED', 'boundary 1 of sample may not be sent: aliased may be sent from b on'),
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
      chain(
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

  test('exactly those k may be sent at which nothing crosses that was made before the floor, or beside it', () => {
    fc.assert(
      fc.property(plans, floors, fc.boolean(), (own, [made, i], isAliased) => {
        const floor = tensorName(made, i);
        const asked = parse(
          isAliased ? { aliases: { floor }, labels: { label: 'floor' } } : { labels: { label: floor } },
        );
        const names = own.boundaries.map(({ tensors }) => tensors.map(({ name }) => name));
        const depth = own.segments.length;
        const isKnown = names.some((carried) => carried.includes(floor));
        for (let k = 0; k <= depth + 1; k++) {
          const passed = orRefusal(() => assertMaySend(asked, 'label', own, k) ?? true) !== null;
          const crossing = names[k] ?? [];
          const isBehind = (name: string) => name === floor || madeAt(name) > made;
          expect(passed).toBe(isKnown && k < depth && k >= made && crossing.every(isBehind));
        }
      }),
      { numRuns: 500 },
    );
  });

  test('the output and what lies behind it is never sent, whatever the label', () => {
    const labels = fc.oneof(fc.constantFrom('open', 'secret', 'named', 'aliased', 'first'), fc.string());
    fc.assert(
      fc.property(plans, labels, fc.nat(3), (own, label, beyond) => {
        const k = own.segments.length + beyond;
        expect(() => assertMaySend(policy, label, own, k)).toThrow(tandemError('POLICY_DENIED'));
      }),
    );
  });

  test('a label that the policy does not list sends nothing', () => {
    fc.assert(
      fc.property(plans, fc.string(), fc.nat(9), (own, label, k) => {
        fc.pre(!Object.hasOwn(policy.labels, label));
        expect(() => assertMaySend(policy, label, own, k)).toThrow(tandemError('POLICY_DENIED'));
      }),
    );
  });
});

/** The sample plan with everything measured: the deeper and the coarser, the less is given away. */
function leakyPlan(): Plan {
  const own = samplePlan();
  const rows = [
    { k: 0, tier: 'webp-80', leakage: 1 },
    { k: 1, tier: 'q8', leakage: 0.6 },
    { k: 1, tier: 'q4', leakage: 0.3 },
    { k: 2, tier: 'q8', leakage: 0.2 },
  ];
  return { ...own, measured: { ...own.measured, leakage: { rows } } as Plan['measured'] };
}

const allowedBy = (rule: RuleInput, of = leakyPlan(), circumstances = ANYWHERE) =>
  Object.keys(permissionOf(parse({ labels: { l: rule } }), 'l', of, circumstances).allowed);
const ALL = ['0/webp-80', '1/q8', '1/q4', '2/q8'];

describe('a label’s terms', () => {
  test('of the sample plan allow everything where they ask for nothing', () => {
    expect(allowedBy({ from: 'input' })).toEqual(ALL);
  });

  test('have a ceiling for what is given away, measured for each boundary and tier', () => {
    expect(allowedBy({ leakageMax: 0.3 })).toEqual(['1/q4', '2/q8']);
    expect(allowedBy({ leakageMax: 0.29 })).toEqual(['2/q8']);
    expect(allowedBy({ from: 'a', leakageMax: 1 })).toEqual(['1/q8', '1/q4', '2/q8']);
  });

  test('deny what is not measured under a ceiling', () => {
    expect(allowedBy({ leakageMax: 1 }, samplePlan())).toEqual([]);
    const own = leakyPlan();
    const rows = [
      { k: 1, tier: 'q8', leakage: Number.NaN },
      { k: 1, tier: 'q4' },
      { k: 2, tier: 'q8', leakage: -1 },
    ];
    own.measured = { ...own.measured, leakage: { rows } } as Plan['measured'];
    expect(allowedBy({ leakageMax: 1 }, own)).toEqual([]);
    const permission = permissionOf(parse({ labels: { l: { leakageMax: 1 } } }), 'l', own, ANYWHERE);
    expect(denialOf(permission, 1, 'q8')).toMatchObject({
      kind: 'leakage',
      reason: expect.stringContaining('not measured'),
    });
  });

  test('take the highest of several figures', () => {
    const own = leakyPlan();
    const rows = [0.1, 0.5, 0.2].map((leakage) => ({ k: 1, tier: 'q8', leakage }));
    own.measured = { ...own.measured, leakage: { rows } } as Plan['measured'];
    expect(allowedBy({ leakageMax: 0.4 }, own)).toEqual([]);
    expect(allowedBy({ leakageMax: 0.5 }, own)).toEqual(['1/q8']);
  });

  test('take the input to give away all of itself, whatever the plan says', () => {
    const own = leakyPlan();
    const rows = [{ k: 0, tier: 'webp-80', leakage: 0 }];
    own.measured = { ...own.measured, leakage: { rows } } as Plan['measured'];
    expect(leakageOf(own, 0, 'webp-80')).toBe(1);
    expect(allowedBy({ leakageMax: 0.99 }, own)).toEqual([]);
    expect(allowedBy({ leakageMax: 1 }, own)).toEqual(['0/webp-80']);
  });

  test('have a list of tiers', () => {
    expect(allowedBy({ from: 'input', tiers: ['q4', 'webp-80'] })).toEqual(['0/webp-80', '1/q4']);
  });

  test('that ask for noise deny pictures, and tensors that hold no fractions', () => {
    const noise = { type: 'gaussian', scale: 0.5 } as const;
    expect(allowedBy({ from: 'input', noise })).toEqual(['1/q8', '1/q4', '2/q8']);
    const own = leakyPlan();
    const [, , second] = own.boundaries;
    second?.tensors.push({ name: 'n', dtype: 'int64', shape: [1] });
    expect(allowedBy({ from: 'input', noise }, own)).toEqual(['1/q8', '1/q4']);
  });

  test('say what a denial is for', () => {
    const rule = { from: 'a', leakageMax: 0.5, tiers: ['q8', 'q6'], noise: { type: 'dropout', scale: 0.1 } } as const;
    const permission = permissionOf(parse({ labels: { l: rule } }), 'l', leakyPlan(), ANYWHERE);
    expect(denialOf(permission, 0, 'webp-80')).toEqual({ kind: 'boundary', reason: 'l may be sent from a on' });
    expect(denialOf(permission, 1, 'q4')).toEqual({ kind: 'tier', reason: 'only the tiers q8,q6 may be sent, not q4' });
    expect(denialOf(permission, 1, 'q8')?.reason).toBe('at most 0.5 may be given away, k = 1 q8 gives 0.6');
    expect(denialOf(permission, 2, 'q8')).toBeNull();
    expect(denialOf(permission, 2, 'made-up')).not.toBeNull();
    expect(denialOfSent(permission, 2, 'q8', [])?.kind).toBe('noise');
    expect(denialOfSent(permission, 2, 'q8', [{ type: 'dropout', scale: 0.05 }])?.kind).toBe('noise');
    expect(denialOfSent(permission, 2, 'q8', [{ type: 'dropout', scale: 0.2 }])).toBeNull();
  });
});

describe('an override', () => {
  const rule: RuleInput = {
    from: 'input',
    networks: { cellular: 'local', wifi: { tiers: ['q8'] }, '2g': { from: 'b' } },
    regions: { eu: { from: 'a' } },
    tenants: { clinic: { tiers: ['q4'], retain: false } },
  };
  const under = (changes: Partial<Circumstances>) => allowedBy(rule, leakyPlan(), { ...ANYWHERE, ...changes });

  test('holds where its name does', () => {
    expect(under({})).toEqual(ALL);
    expect(under({ networks: ['cellular'] })).toEqual([]);
    expect(under({ networks: ['wifi', '4g'] })).toEqual(['1/q8', '2/q8']);
    expect(under({ regions: ['eu'] })).toEqual(['1/q8', '1/q4', '2/q8']);
    expect(under({ tenants: ['clinic'] })).toEqual(['1/q4']);
    expect(under({ tenants: ['clinic'], networks: ['wifi'] })).toEqual([]);
    expect(under({ regions: ['us'], tenants: ['other'], networks: ['ethernet'] })).toEqual(ALL);
  });

  test('holds, with all others of its kind, where it is not known whether it does', () => {
    expect(under({ networks: null })).toEqual([]);
    expect(under({ regions: null })).toEqual(['1/q8', '1/q4', '2/q8']);
    expect(under({ tenants: null })).toEqual(['1/q4']);
  });
});

const tiers = fc.subarray(['q8', 'q4', 'webp-80', 'q2'], { minLength: 1 });
const noises = fc.oneof(
  fc.record({ type: fc.constantFrom('gaussian', 'laplace'), scale: fc.double({ min: 0.01, max: 9, noNaN: true }) }),
  fc.record({
    type: fc.constant('dropout'),
    scale: fc.double({ min: 0.01, max: 1, noNaN: true }),
    clip: fc.double({ min: 0.1, max: 9, noNaN: true }),
  }),
);
const termsFields = {
  from: fc.constantFrom('input', 'x', 'a', 'b', 'y', 'nowhere', 'local'),
  leakageMax: fc.double({ min: 0, max: 1, noNaN: true }),
  tiers,
  retain: fc.boolean(),
  noise: noises,
};
const terms = fc.record(termsFields, { requiredKeys: [] }) as fc.Arbitrary<TermsInput>;
const NAMES = ['cellular', 'wifi', '4g'] as const;
const overrides = fc.dictionary(fc.constantFrom(...NAMES), fc.oneof(terms, fc.constantFrom('input', 'a', 'local')));
const rules = fc.record(
  { ...termsFields, networks: overrides, regions: overrides, tenants: overrides },
  { requiredKeys: ['from'] },
) as fc.Arbitrary<RuleInput>;
const names = fc.oneof(fc.constant(null), fc.subarray([...NAMES, 'elsewhere']));
const circumstances = fc.record({ networks: names, regions: names, tenants: names });
const measured = fc
  .array(fc.option(fc.double({ min: 0, max: 1, noNaN: true })), { minLength: 4, maxLength: 4 })
  .map((figures): Plan => {
    const own = samplePlan();
    const rows = ALL.flatMap((key, i) => {
      const [k, tier] = key.split('/');
      return figures[i] === null ? [] : [{ k: Number(k), tier, leakage: figures[i] }];
    });
    return { ...own, measured: { ...own.measured, leakage: { rows } } as Plan['measured'] };
  });

const isStricter = (one: Permission, than: Permission) => {
  expect(Object.keys(than.allowed)).toEqual(expect.arrayContaining(Object.keys(one.allowed)));
  expect(one.floor).toBeGreaterThanOrEqual(than.floor);
  if (!than.retain) expect(one.retain).toBe(false);
  if (Object.keys(one.allowed).length > 0) expect(promises(one.noise, than.noise)).toBe(true);
};

describe('for any terms', () => {
  test('overrides never loosen: what is allowed under them is allowed without', () => {
    fc.assert(
      fc.property(rules, measured, circumstances, (rule, own, where) => {
        const asked = parse({ labels: { l: rule } });
        const { networks: _n, regions: _r, tenants: _t, ...plain } = rule;
        const base = permissionOf(parse({ labels: { l: plain } }), 'l', own, ANYWHERE);
        const held = permissionOf(asked, 'l', own, where);
        isStricter(held, base);
        // And not to know is strictest.
        isStricter(permissionOf(asked, 'l', own, { networks: null, regions: null, tenants: null }), held);
      }),
      { numRuns: 500 },
    );
  });

  test('exactly those boundaries and tiers are allowed that each of them allows', () => {
    fc.assert(
      fc.property(fc.array(terms, { minLength: 1, maxLength: 4 }), measured, (several, own) => {
        const together = permissionUnder(several as never, 'l', own);
        const each = several.map((one) => permissionUnder([one] as never, 'l', own));
        // Noise of one rules out what another one allows.
        const isNoisy = several.some(({ noise }) => noise);
        for (const key of ALL) {
          const byEach = each.every(({ allowed }) => Object.hasOwn(allowed, key));
          expect([key, Object.hasOwn(together.allowed, key)]).toEqual([key, byEach]);
          if (isNoisy) expect(together.allowed[tierKey(0, 'webp-80')]).toBeUndefined();
        }
      }),
      { numRuns: 500 },
    );
  });

  test('each boundary and tier is either allowed or denied with a reason', () => {
    fc.assert(
      fc.property(rules, measured, circumstances, (rule, own, where) => {
        const { allowed, denied } = permissionOf(parse({ labels: { l: rule } }), 'l', own, where);
        expect([...Object.keys(allowed), ...Object.keys(denied)].sort()).toEqual([...ALL].sort());
        for (const { reason } of Object.values(denied)) expect(reason).not.toBe('');
      }),
    );
  });

  test('the stricter of two is what both allow, whichever comes first', () => {
    fc.assert(
      fc.property(rules, rules, measured, (one, other, own) => {
        const [a, b] = [one, other].map((rule) => permissionOf(parse({ labels: { l: rule } }), 'l', own, ANYWHERE));
        if (!a || !b) throw new Error('two');
        const both = stricter(a, b, 'b');
        isStricter(both, a);
        isStricter(both, b);
        const swapped = stricter(b, a, 'a');
        expect(Object.keys(swapped.allowed).sort()).toEqual(Object.keys(both.allowed).sort());
        expect(swapped.noise).toEqual(both.noise);
        expect(Object.keys(stricter(a, nothing(own, { kind: 'label', reason: 'no' }), 'b').allowed)).toEqual([]);
      }),
    );
  });
});
