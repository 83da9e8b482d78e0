/** What is legal in a configuration and still not meant: names that nothing bears, and doors that nobody can open. */
import { TandemError } from '../shared/errors.ts';
import type { Plan } from '../shared/plan.ts';
import { FLOOR_INPUT, FLOOR_LOCAL, type Terms, unaliased } from '../shared/policy/language.ts';
import { HEADER_BYTES_MAX } from '../shared/protocol/limits.ts';
import type { ServerConfig } from './config.ts';
import { Grants } from './grants.ts';

interface Holder {
  /** Name of the credentials. */
  readonly name: string;
  readonly path: readonly string[];
  readonly labels: readonly string[];
}

/** What a welcome has besides the labels and their terms. */
const WELCOME_REST_BYTES = 16 * 1024;

/**
 * @returns what is odd and may be meant
 * @throws BAD_CONFIG, with the place, for a name in the policy that nothing bears, a label that the policy does not know, or an
 *   origin that is none: they fail closed, and nothing would ever be sent
 */
export function checkAgainstPlans(config: ServerConfig, plans: readonly Plan[]): string[] {
  const holders = holdersOf(config);
  checkTerms(config, plans);
  checkOverrides(config, holders);
  checkHolders(config, holders);
  checkOrigins(config);
  return [...warningsOf(config, plans, holders)];
}

function holdersOf({ credentials: { anonymous, tokens } }: ServerConfig): Holder[] {
  const path = ['credentials', 'anonymous', 'labels'];
  return [
    ...(anonymous ? [{ name: 'anonymous', path, labels: anonymous.labels }] : []),
    ...tokens.map(({ name, labels }, i) => ({ name, path: ['credentials', 'tokens', String(i), 'labels'], labels })),
  ];
}

function checkTerms(config: ServerConfig, plans: readonly Plan[]): void {
  const boundaries = plans.flatMap((plan) => plan.boundaries);
  const tensors = new Set(boundaries.flatMap((boundary) => boundary.tensors.map(({ name }) => name)));
  const tiers = new Set(boundaries.flatMap((boundary) => boundary.tiers.map(({ name }) => name)));
  for (const { path, terms } of termsIn(config)) {
    const { from = FLOOR_INPUT } = terms;
    if (![FLOOR_INPUT, FLOOR_LOCAL].includes(from) && !tensors.has(unaliased(config.policy, from))) {
      const expected = `${FLOOR_INPUT}, ${FLOOR_LOCAL}, a boundary tensor of a plan or its alias`;
      throw bad(config, [...path, 'from'], `expected ${expected}, got ${from}`);
    }
    const unknown = terms.tiers?.findIndex((name) => !tiers.has(name)) ?? -1;
    if (unknown >= 0) {
      const expected = `tiers of a plan (${[...tiers].join(', ')})`;
      throw bad(config, [...path, 'tiers', String(unknown)], `expected ${expected}, got ${terms.tiers?.[unknown]}`);
    }
  }
}

/** All terms of the policy, and where they stand. */
function* termsIn({ policy }: ServerConfig): Generator<{ readonly path: readonly string[]; readonly terms: Terms }> {
  for (const [label, rule] of Object.entries(policy.labels)) {
    const path = ['policy', 'labels', label];
    yield { path, terms: rule };
    for (const kind of ['networks', 'regions', 'tenants'] as const) {
      for (const [name, terms] of Object.entries(rule[kind])) yield { path: [...path, kind, name], terms };
    }
  }
}

function checkOverrides(config: ServerConfig, holders: readonly Holder[]): void {
  for (const [label, { regions, tenants }] of Object.entries(config.policy.labels)) {
    const path = ['policy', 'labels', label];
    if (config.region === null && Object.keys(regions).length > 0) {
      throw bad(config, [...path, 'regions'], 'expected a region of the gateway as well (region), got none');
    }
    const unknown = Object.keys(tenants).find((tenant) => !holders.some(({ name }) => name === tenant));
    if (unknown !== undefined) {
      const names = holders.map(({ name }) => name).join(', ');
      throw bad(config, [...path, 'tenants', unknown], `expected names of credentials (${names}), got ${unknown}`);
    }
  }
}

function checkHolders(config: ServerConfig, holders: readonly Holder[]): void {
  const { policy, region } = config;
  for (const { name, path, labels } of holders) {
    const unknown = labels.findIndex((label) => !Object.hasOwn(policy.labels, label));
    if (unknown >= 0) {
      const known = Object.keys(policy.labels).join(', ');
      throw bad(config, [...path, String(unknown)], `expected labels of the policy (${known}), got ${labels[unknown]}`);
    }
    const told = Buffer.byteLength(JSON.stringify(new Grants(policy, { name, labels }, region).told));
    const bytesMax = HEADER_BYTES_MAX - WELCOME_REST_BYTES;
    if (told > bytesMax) {
      throw bad(config, path, `expected labels whose terms take up to ${bytesMax} bytes of JSON, got ${told}`);
    }
  }
}

function checkOrigins(config: ServerConfig): void {
  const wrong = config.origins.findIndex(
    (origin) => origin !== '*' && (!URL.canParse(origin) || new URL(origin).origin !== origin),
  );
  if (wrong < 0) return;
  const expected = 'expected * or an origin like https://app.example';
  throw bad(config, ['origins', String(wrong)], `${expected}, got ${config.origins[wrong]}`);
}

function* warningsOf(config: ServerConfig, plans: readonly Plan[], holders: readonly Holder[]): Generator<string> {
  if (holders.length === 0) yield 'credentials lets nobody in: no client can connect';
  const { region, policy } = config;
  const regions = Object.values(policy.labels).flatMap((rule) => Object.keys(rule.regions));
  if (regions.length > 0 && region !== null && !regions.includes(region)) {
    yield `${config.place(['region'])}: no label has terms for ${region}, only for ${[...new Set(regions)].join(', ')}`;
  }
  const ceiling = [...termsIn(config)].find(({ terms }) => terms.leakageMax !== undefined);
  for (const { name, measured } of ceiling ? plans : []) {
    if (measured && 'leakage' in measured && measured.leakage) continue;
    const where = config.place([...(ceiling?.path ?? []), 'leakageMax']);
    yield `${where}: ${name} has no leakage measured, so nothing of it may be sent under a ceiling`;
  }
}

function bad({ place }: ServerConfig, path: readonly string[], message: string): TandemError {
  return new TandemError('BAD_CONFIG', `${place(path)}: ${message}`);
}
