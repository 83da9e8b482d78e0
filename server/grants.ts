/** What the gateway's policy lets one client send: asked by its connection for every request, and told to it in the welcome. */
import type { Plan } from '../shared/plan.ts';
import type { Policy } from '../shared/policy/language.ts';
import {
  type Circumstances,
  networkTermsOf,
  nothing,
  type Permission,
  permissionOf,
  termsOf,
} from '../shared/policy/permission.ts';
import type { MessageOf } from '../shared/protocol/messages.ts';
import type { Identity } from './credentials.ts';

export class Grants {
  /** By plan id and label. */
  private readonly permissions = new Map<string, Permission>();
  private readonly circumstances: Circumstances;
  private readonly policy: Policy;
  private readonly labels: readonly string[];

  /** @param region null where the operator has not said */
  constructor(policy: Policy, { name, labels }: Identity, region: string | null) {
    this.policy = policy;
    this.labels = labels;
    // Which network a client is on it alone can tell, and is trusted to heed.
    this.circumstances = { networks: [], regions: region === null ? null : [region], tenants: [name] };
  }

  /** The labels with all that the client has to heed. */
  get told(): MessageOf<'welcome'>['labels'] {
    return this.labels.flatMap((label) => {
      const terms = termsOf(this.policy, label, this.circumstances);
      return terms ? [{ label, terms, networks: networkTermsOf(this.policy, label) }] : [];
    });
  }

  has(label: string): boolean {
    return this.labels.includes(label);
  }

  permission(label: string, plan: Plan): Permission {
    if (!this.has(label)) return nothing(plan, { kind: 'label', reason: `the label ${label} is not granted` });
    const key = `${plan.id} ${label}`;
    const permission = this.permissions.get(key) ?? permissionOf(this.policy, label, plan, this.circumstances);
    this.permissions.set(key, permission);
    return permission;
  }

  /** Whether anything may be written down about a single request of this label. */
  retains(label: string): boolean {
    return termsOf(this.policy, label, this.circumstances)?.every(({ retain }) => retain !== false) ?? true;
  }
}
