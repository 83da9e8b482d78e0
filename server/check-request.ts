/** Everything that can be said of a request before its payload is looked at. */
import { checkShapes, partBytesMax } from '../shared/codec/boundary.ts';
import { TandemError } from '../shared/errors.ts';
import { boundaryAt, depthOf, type Plan, type Tier, tierAt } from '../shared/plan.ts';
import { type DenialKind, denialOfSent, policyDenied } from '../shared/policy/permission.ts';
import type { MessageOf } from '../shared/protocol/messages.ts';
import type { Grants } from './grants.ts';
import type { RequestLabels } from './metrics.ts';

type InferMessage = MessageOf<'infer'>;

/** @throws UNKNOWN_PLAN, LABEL_NOT_GRANTED, BAD_BOUNDARY, UNKNOWN_TIER, POLICY_DENIED, BAD_TENSOR or PAYLOAD_TOO_LARGE */
export function checkRequest(message: InferMessage, plan: Plan | undefined, grants: Grants | null): Plan {
  if (!plan) throw new TandemError('UNKNOWN_PLAN', `this server does not serve the plan ${message.plan}`);
  const { label, k } = message;
  if (!grants?.has(label)) throw new TandemError('LABEL_NOT_GRANTED', `this client may not use the label ${label}`);
  if (k >= depthOf(plan)) {
    throw new TandemError('BAD_BOUNDARY', `expected k from 0 to ${depthOf(plan) - 1}, got ${k}`);
  }
  const tier = tierAt(plan, k, message.tier);
  const denial = denialOfSent(grants.permission(label, plan), k, message.tier, message.noise);
  if (denial) throw policyDenied(plan, k, denial);
  checkShapes(plan, k, message.shapes);
  checkParts(message, tier);
  return plan;
}

/** What a refusal under the policy was for; null where that is not how it ended. */
export function deniedFor(
  outcome: string,
  { label, k, tier, noise }: InferMessage,
  plan: Plan | undefined,
  grants: Grants | null,
): DenialKind | null {
  if (outcome === 'label_not_granted') return 'label';
  if (outcome !== 'policy_denied' || !plan || !grants) return null;
  return denialOfSent(grants.permission(label, plan), k, tier, noise)?.kind ?? null;
}

/** A queue of parts larger than any encoder of ours makes would be memory that whoever sends them can fill. */
function checkParts({ parts, shapes, k }: InferMessage, tier: Tier): void {
  const bytesMax = shapes.length * partBytesMax(tier, shapes);
  const bytes = payloadBytes(parts);
  if (bytes > bytesMax) {
    throw new TandemError(
      'PAYLOAD_TOO_LARGE',
      `expected at most ${bytesMax} bytes for boundary ${k} at ${tier.name}, got ${bytes}`,
    );
  }
}

export function payloadBytes(parts: readonly number[]): number {
  return parts.reduce((sum, part) => sum + part, 0);
}

/** Labels of bounded cardinality, whatever the client put in. */
export function requestLabels(plan: Plan | undefined, { k, tier }: InferMessage): RequestLabels {
  if (!plan || k >= depthOf(plan)) return { model: plan?.name ?? 'none', k: 'none', tier: 'none' };
  const isKnown = boundaryAt(plan, k).tiers.some(({ name }) => name === tier);
  return { model: plan.name, k: String(k), tier: isKnown ? tier : 'none' };
}
