/** What may leave this device: the stricter of the client's own policy and of what the gateway says of its own. */
import { depthOf, type Plan } from '../shared/plan.ts';
import { EFFECTIVE_TYPES, NETWORK_TYPES, type Policy } from '../shared/policy/language.ts';
import {
  nothing,
  overridesThatHold,
  type Permission,
  permissionOf,
  permissionUnder,
  stricter,
} from '../shared/policy/permission.ts';
import type { MessageOf } from '../shared/protocol/messages.ts';

/** As the Network Information API has it (wicg.github.io/netinfo); what a browser does not say is left out. */
export interface Network {
  readonly type?: string | undefined;
  readonly effectiveType?: string | undefined;
}

type Welcome = MessageOf<'welcome'>;

/** Labels that are remembered; apps have a handful. */
const REMEMBERED_MAX = 64;

/**
 * What a label may send of a plan.
 * @param welcome the gateway's word, or null while it is not connected: nothing can be sent then anyway
 */
export type PermissionFor = (label: string, plan: Plan, welcome: Welcome | null) => Permission;

/**
 * Asked before every decision and before everything that is sent: what it said stays true until something changes.
 * @param network what the device is on now; null where nobody can say
 */
export function permissionsUnder(policy: Policy | undefined, network: () => Network | null): PermissionFor {
  const known = new Map<string, Permission>();
  let of: { plan: Plan; welcome: Welcome | null; networks: string } | null = null;
  return (label, plan, welcome) => {
    const names = networkNames(network());
    const networks = names.join();
    if (of?.plan !== plan || of.welcome !== welcome || of.networks !== networks || known.size > REMEMBERED_MAX) {
      known.clear();
      of = { plan, welcome, networks };
    }
    const permission = known.get(label) ?? permissionFor(policy, welcome, label, plan, names);
    known.set(label, permission);
    return permission;
  };
}

/** Names of the overrides that hold on a network. Where it is not known, those of every network do. */
function networkNames(network: Network | null): readonly string[] {
  const of = (all: readonly string[], name: string | undefined) =>
    name !== undefined && all.includes(name) ? [name] : all;
  return [...of(NETWORK_TYPES, network?.type), ...of(EFFECTIVE_TYPES, network?.effectiveType)];
}

function permissionFor(
  policy: Policy | undefined,
  welcome: Welcome | null,
  label: string,
  plan: Plan,
  networks: readonly string[],
): Permission {
  const refused = (reason: string): Permission => nothing(plan, { kind: 'label', reason });
  if (!policy) return refused('this client was given no policy, so nothing may leave the device');
  // Who and where one is the gateway says.
  if (!welcome) return permissionOf(policy, label, plan, { networks, regions: [], tenants: [] });
  if (label === '') return refused('a request without a label stays on the device');
  const granted = welcome.labels.find((entry) => entry.label === label);
  const regions = welcome.region === null ? null : [welcome.region];
  const own = permissionOf(policy, label, plan, { networks, regions, tenants: [welcome.tenant] });
  if (own.floor === depthOf(plan)) return own;
  if (!granted) return refused(`the gateway does not grant this client the label ${label}`);
  const theirs = permissionUnder([...granted.terms, ...overridesThatHold(granted.networks, networks)], label, plan);
  return stricter(own, theirs, "the gateway's policy");
}
