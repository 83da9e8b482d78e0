/**
 * Whether policy lets a picture leave as it is, where that can be seen without the SDK: both sides say so for the label in the one
 * plain way, and say nothing else of it. All that is less plain waits for the SDK, which knows the whole language. Neither has been
 * checked by then: what is not of the form expected is not plain.
 */
import type { PolicyInput } from '../shared/policy/language.ts';
import type { MessageOf } from '../shared/protocol/messages.ts';

/** By the app's own policy alone. */
export function isPlainIn(policy: PolicyInput | undefined, label: string): boolean {
  return (
    label !== '' &&
    hasOnly(policy, 'labels') &&
    Object.hasOwn(policy.labels ?? {}, label) &&
    isPlain(policy.labels[label])
  );
}

/** By the gateway's word. */
export function isPlainOf({ labels }: Pick<MessageOf<'welcome'>, 'labels'>, label: string): boolean {
  const granted = labels.find((entry) => entry.label === label);
  if (!granted) return false;
  const { terms, networks } = granted;
  return terms.length > 0 && terms.every(isPlain) && Object.keys(networks).length === 0;
}

function isPlain(rule: unknown): boolean {
  return rule === 'input' || (hasOnly(rule, 'from') && rule.from === 'input');
}

function hasOnly<K extends string>(value: unknown, key: K): value is { readonly [P in K]: unknown } {
  return typeof value === 'object' && value !== null && Object.keys(value).join() === key;
}
