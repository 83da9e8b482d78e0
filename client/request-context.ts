/** What a request needs of the client that it is one of, and what ends it on an installation without ending it. */

import type { Decision } from '../shared/schedule/decide.ts';
import type { DeviceWork } from '../shared/schedule/device-work.ts';
import type { Estimates } from '../shared/schedule/estimates.ts';
import type { Objective } from '../shared/schedule/objective.ts';
import type { Host } from './host.ts';
import type { Installation } from './installation.ts';
import type { Link } from './link.ts';
import type { PermissionFor } from './permissions.ts';
import type { ReceiptDetail } from './types.ts';

/** What a request needs of its client. */
export interface RequestContext {
  readonly host: Host;
  readonly link: Link;
  readonly installation: Installation;
  readonly estimates: Estimates;
  readonly permissionFor: PermissionFor;
  readonly deviceWork: DeviceWork;
  readonly accuracyDropMax: number;
  readonly objective: Objective;
  /** Whether the client has not replaced the installation. */
  isCurrent(): boolean;
  /** Whether it has, by one that can run the whole model. */
  isSurpassed(): boolean;
  /** Resolves at the next change of link, segments or installation, or when the signal is aborted. */
  changed(signal: AbortSignal): Promise<void>;
  onDecision(decision: Decision, label: string): void;
  onReceipt(detail: ReceiptDetail): void;
  /** While `work` is under way, downloads yield the link. */
  busy<T>(work: Promise<T>): Promise<T>;
}

/** The client has another installation, and on the one that the request began on it cannot go on. */
export class Superseded extends Error {}
