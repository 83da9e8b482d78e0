/**
 * The policy as people write it, in a gateway's configuration or a client's options: labels, and what a request of each may
 * send. What it means for one plan is permission.ts; docs/policy.md is this page for its users.
 */
import * as v from 'valibot';
import type { Noise } from '../codec/noise.ts';
import { NOISE } from '../noise-schema.ts';
import { ownValue } from '../own-value.ts';
import { errorAt, list, type Place, parseAs, share, text, within } from '../parse.ts';

/** The model's input, as it is. */
export const FLOOR_INPUT = 'input';
/** Nothing leaves the device, the output included. */
export const FLOOR_LOCAL = 'local';

export const LABELS_MAX = 256;
/** Overrides of one label, of each kind. */
export const OVERRIDES_MAX = 32;
const TIERS_MAX = 32;
/** Kinds of noise, each once. */
const NOISES_MAX = 3;

/** `type` of the Network Information API (wicg.github.io/netinfo), but `unknown`. */
export const NETWORK_TYPES = ['bluetooth', 'cellular', 'ethernet', 'mixed', 'none', 'other', 'wifi', 'wimax'] as const;
/** Its `effectiveType`. */
export const EFFECTIVE_TYPES = ['slow-2g', '2g', '3g', '4g'] as const;

const NoiseSchema = v.pipe(
  v.strictObject(NOISE),
  v.check(({ type, scale }) => type !== 'dropout' || scale <= 1, 'expected a scale of at most 1 for dropout'),
);
/** Of several kinds, all are added. */
export const NoisesSchema = list(NoiseSchema, NOISES_MAX);

const TERMS = {
  /** The shallowest boundary that may leave: `input`, `local`, an alias, or the name of a boundary tensor. */
  from: v.exactOptional(text()),
  /** Only what is known to give away no more than this: the plan's figure, 0 to 1. */
  leakageMax: v.exactOptional(share),
  /** Only these tiers. */
  tiers: v.exactOptional(list(text(32), TIERS_MAX, 1)),
  /** false: the gateway writes down nothing about a single request. */
  retain: v.exactOptional(v.boolean()),
  /** What the client adds before it encodes. The gateway cannot check it. */
  noise: v.exactOptional(NoiseSchema),
};
/** Nothing that is not known here is passed over: it would be looser than it was meant. */
export const TermsSchema = v.strictObject(TERMS);
/** What has to hold; several must all hold, so that another one can only make it stricter. */
export type Terms = v.InferOutput<typeof TermsSchema>;

const Override = v.lazy((value: unknown) =>
  typeof value === 'string'
    ? v.pipe(
        text(),
        v.transform((from): Terms => ({ from })),
      )
    : TermsSchema,
);
const overridesBy = (name: v.GenericSchema<string, string>) =>
  v.optional(v.pipe(v.record(name, Override), within(OVERRIDES_MAX)), {});
const networkName: v.GenericSchema<string, string> = v.picklist([...NETWORK_TYPES, ...EFFECTIVE_TYPES]);
/** Overrides by network as they are sent to clients, aliases resolved. */
export const NetworksSchema = v.record(networkName, TermsSchema);
/** Overrides hold besides the label's own terms: they can make it stricter, never looser. */
const OVERRIDES = {
  /** By the client's network: a type, or an effective type. */
  networks: overridesBy(networkName),
  /** By where the gateway says that it is. */
  regions: overridesBy(text(64)),
  /** By the name of the client's credentials. */
  tenants: overridesBy(text(64)),
};
const RuleObject = v.pipe(
  v.strictObject({ ...TERMS, ...OVERRIDES }),
  v.check(
    ({ from, leakageMax }) => from !== undefined || leakageMax !== undefined,
    'expected from, leakageMax or both: where may it be sent from?',
  ),
);
const Rule = v.lazy((value: unknown) =>
  typeof value === 'string'
    ? v.pipe(
        text(),
        v.transform((from): Rule => ({ from, networks: {}, regions: {}, tenants: {} })),
      )
    : RuleObject,
);
export type Rule = v.InferOutput<typeof RuleObject>;

const PolicySchema = v.strictObject({
  /** Readable names for boundary tensors: { features: "p2o.AveragePool.1" }. */
  aliases: v.optional(v.record(text(64), text()), {}),
  /** Label -> its floor alone, or all that has to hold. */
  labels: v.pipe(v.record(text(64), Rule), within(LABELS_MAX)),
});

export type Policy = v.InferOutput<typeof PolicySchema>;

/** A policy as people write it: docs/policy.md. */
export interface PolicyInput {
  /** Readable names for boundary tensors. */
  readonly aliases?: Readonly<Record<string, string>> | undefined;
  /** Label -> what may be sent: `input`, `local`, an alias, the name of a boundary tensor, or terms. */
  readonly labels: Readonly<Record<string, string | RuleInput>>;
}

/** What has to hold for what is sent. */
export interface TermsInput {
  /** The shallowest boundary: `input`, `local`, an alias, or the name of a boundary tensor. */
  readonly from?: string;
  /** Only what is measured to give away no more than this, 0 to 1. */
  readonly leakageMax?: number;
  readonly tiers?: readonly string[];
  /** false: the gateway writes down nothing about a single request. */
  readonly retain?: boolean;
  /** Added by the client before it encodes; nobody else can check that. */
  readonly noise?: Noise;
}

/** Terms, and further ones that hold besides them: by the client's network, the gateway's region, the credentials' name. */
export interface RuleInput extends TermsInput {
  readonly networks?: Readonly<Partial<Record<NetworkName, string | TermsInput>>>;
  readonly regions?: Readonly<Record<string, string | TermsInput>>;
  readonly tenants?: Readonly<Record<string, string | TermsInput>>;
}

/** Of the Network Information API. */
export type NetworkName = (typeof NETWORK_TYPES)[number] | (typeof EFFECTIVE_TYPES)[number];

/** Names that every object knows: records lose them when they are parsed, and what they say with them. */
const LOST_NAMES = ['__proto__', 'constructor', 'prototype'];
/** No policy is as deep. */
const LEVELS_MAX = 8;

function assertNoneIsLost(value: unknown, what: string | Place, path: readonly string[] = []): void {
  if (typeof value !== 'object' || value === null || path.length > LEVELS_MAX) return;
  for (const [key, inner] of Object.entries(value)) {
    const at = [...path, key];
    if (LOST_NAMES.includes(key)) throw errorAt('BAD_CONFIG', what, at, `${key} cannot be a name`);
    assertNoneIsLost(inner, what, at);
  }
}

/** Throws BAD_CONFIG for a value that is no policy, or an alias that shadows or hides `input` or `local`. */
export function parsePolicy(value: unknown, what: string | Place): Policy {
  assertNoneIsLost(value, what);
  const policy = parseAs(PolicySchema, value, 'BAD_CONFIG', what);
  const words = [FLOOR_INPUT, FLOOR_LOCAL];
  for (const [alias, name] of Object.entries(policy.aliases)) {
    const reason = words.includes(alias)
      ? `${alias} is a word of the policy and cannot be an alias`
      : words.includes(name) && `expected the name of a tensor, got the word ${name}`;
    if (reason) throw errorAt('BAD_CONFIG', what, ['aliases', alias], reason);
  }
  return policy;
}

/** A floor without aliases: `input`, `local`, or the name of a boundary tensor. */
export function unaliased({ aliases }: Policy, floor: string): string {
  return ownValue(aliases, floor) ?? floor;
}
