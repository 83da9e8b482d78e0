/** The floor that holds for a request: the stricter of this client's own policy and what the gateway grants it. */
import { depthOf, type Plan } from '../shared/plan.ts';
import { type Floor, floorOf, type Policy } from '../shared/policy.ts';
import type { MessageOf } from '../shared/protocol/messages.ts';

/** @param welcome the gateway's word, or null while it is not connected: nothing can be sent then anyway */
export function effectiveFloor(
  policy: Policy | undefined,
  welcome: MessageOf<'welcome'> | null,
  label: string,
  plan: Plan,
): Floor {
  const nothing = depthOf(plan);
  if (!policy) return { k: nothing, reason: 'this client was given no policy, so nothing may leave the device' };
  const own = floorOf(policy, label, plan);
  if (!welcome) return own;
  const granted = welcome.labels.find((entry) => entry.label === label);
  if (label === '') return { k: nothing, reason: 'a request without a label stays on the device' };
  if (!granted) return { k: nothing, reason: `the gateway does not grant this client the label ${label}` };
  const theirs = floorOf({ aliases: {}, labels: { [label]: granted.floor } }, label, plan);
  return theirs.k > own.k ? { ...theirs, reason: `the gateway's policy: ${theirs.reason}` } : own;
}
