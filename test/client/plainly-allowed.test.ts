/** What is sent before the SDK has come, the SDK would have let out as well: whatever the two policies say. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { permissionsUnder } from '../../client/permissions.ts';
import { isPlainIn, isPlainOf } from '../../client/plainly-allowed.ts';
import { smallPlan } from '../../client/testkit/small-plan.ts';
import { type PolicyInput, parsePolicy } from '../../shared/policy/language.ts';
import type { MessageOf } from '../../shared/protocol/messages.ts';

const plan = smallPlan();
const LABEL = 'public';

const from = fc.constantFrom('input', 'h', 'local', 'features');
const more = {
  leakageMax: fc.constantFrom(0, 0.3, 1),
  tiers: fc.constantFrom(['webp-80'], ['q8']),
  retain: fc.boolean(),
  noise: fc.constant({ type: 'gaussian', scale: 1 }),
};
const terms = fc.oneof(fc.record({ from }), fc.record({ from, ...more }, { requiredKeys: [] }));
const overrides = (names: readonly string[]) => fc.dictionary(fc.constantFrom(...names), fc.oneof(from, terms));
const rule = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom('input', { from: 'input' }) },
  { weight: 3, arbitrary: fc.oneof(from, terms) },
  fc.record(
    { from, ...more, networks: overrides(['wifi', '3g']), regions: overrides(['eu']), tenants: overrides(['staff']) },
    { requiredKeys: ['from'] },
  ),
);
const labels = fc.dictionary(fc.constantFrom(LABEL, 'other'), rule, { minKeys: 1 });
const policies = fc.oneof(
  fc.record({ labels }),
  fc.record({ labels, aliases: fc.constant({ features: 'h' }) }),
  fc.constant(undefined),
);
const resolved = fc.oneof(
  { weight: 3, arbitrary: fc.constant({ from: 'input' }) },
  fc.record({ from: fc.constantFrom('input', 'h', 'local') }),
  fc.record({ from: fc.constantFrom('input', 'h'), ...more }, { requiredKeys: [] }),
);
const granted = fc.record({
  label: fc.constantFrom(LABEL, 'other'),
  terms: fc.array(resolved, { minLength: 1, maxLength: 3 }),
  networks: fc.oneof(fc.constant({}), fc.dictionary(fc.constantFrom('wifi', '3g'), resolved, { maxKeys: 1 })),
});

function welcomeOf(all: unknown): MessageOf<'welcome'> {
  const load = { queueDepth: 0, queueMs: 0 };
  const limits = { frameBytesMax: 1e6, inFlightMax: 1, idleTimeoutMs: 1000 };
  const plans = [{ name: plan.name, id: plan.id }];
  const said = {
    type: 'welcome',
    server: 'test',
    limits,
    plans,
    tenant: 'anonymous',
    region: 'eu',
    receiptKey: null,
    load,
  };
  return { ...said, labels: all } as MessageOf<'welcome'>;
}

/** By the policy before anything is asked for, and then by the gateway's word. */
function isPlainlyAllowed(policy: unknown, welcome: MessageOf<'welcome'>): boolean {
  return isPlainIn(policy as PolicyInput | undefined, LABEL) && isPlainOf(welcome, LABEL);
}

test('never more than the stricter of the two policies lets leave', () => {
  let allowed = 0;
  const network = fc.constantFrom(null, { type: 'wifi' }, { effectiveType: '3g' });
  fc.assert(
    fc.property(policies, fc.array(granted, { maxLength: 3 }), network, (policy, all, on) => {
      const welcome = welcomeOf(all);
      if (!isPlainlyAllowed(policy, welcome)) return;
      const permission = permissionsUnder(parsePolicy(policy, 'policy'), () => on)(LABEL, plan, welcome);
      allowed++;
      expect(permission).toMatchObject({ allowed: { '0/webp-80': true }, floor: 0, noise: [], retain: true });
    }),
    { numRuns: 3000 },
  );
  // Or the test could not fail.
  expect(allowed).toBeGreaterThan(30);
});

const plain = { labels: { [LABEL]: 'input' } };
const open = welcomeOf([{ label: LABEL, terms: [{ from: 'input' }], networks: {} }]);

test.each<[string, unknown, unknown]>([
  ['no policy', undefined, open],
  ['a policy that is none', { labels: null }, open],
  ['another word beside the labels', { ...plain, aliases: {} }, open],
  ['a label that every object knows', { labels: Object.create({ [LABEL]: 'input' }) }, open],
  ['another word in the label', { labels: { [LABEL]: { from: 'input', retain: true } } }, open],
  ['a gateway that says nothing of the label', plain, welcomeOf([])],
  ['a gateway without terms for it', plain, welcomeOf([{ label: LABEL, terms: [], networks: {} }])],
])('not with %s', (_, policy, welcome) => {
  expect(isPlainlyAllowed(policy, welcome as MessageOf<'welcome'>)).toBe(false);
});

test('both ways of saying so are plain', () => {
  expect(isPlainlyAllowed(plain, open)).toBe(true);
  expect(isPlainlyAllowed({ labels: { [LABEL]: { from: 'input' } } }, open)).toBe(true);
});
