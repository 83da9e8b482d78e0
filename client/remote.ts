/** What one request knows of the gateway: whether it can be asked now, is worth waiting for, or is of no use to it. */
import type { Clock } from '../shared/clock.ts';
import type { TandemError } from '../shared/errors.ts';
import type { Plan } from '../shared/plan.ts';
import type { Link } from './link.ts';

/** Pause before a request that the gateway could not take now is sent again; doubles each time. */
const RETRY_MS = 200;
const RETRY_MS_MAX = 10_000;

export interface Remote {
  /** Why the gateway will not do it, however often it is asked. */
  readonly refusal: string | null;
  /** Whether a boundary can be sent now. */
  readonly isReachable: boolean;
  /** Whether it is worth waiting until one can. */
  readonly mayRecover: boolean;
  /** Milliseconds until it may be asked again, where it asked for a pause: of this request, or of all of this client's. */
  retryInMs(): number;
  /** Takes note of why a request that was sent, or could not be, has no reply. */
  failed(error: TandemError): void;
}

export function remoteOf(clock: Clock, link: Link, plan: Plan): Remote {
  let refusal: string | null = null;
  let retryAtMs = 0;
  let failures = 0;
  const retryInMs = () => Math.max(retryAtMs, link.pausedUntilMs) - clock.now();
  return {
    get refusal() {
      return refusal;
    },
    get isReachable() {
      const isServed = link.welcome?.plans.some(({ id }) => id === plan.id) ?? false;
      return isServed && refusal === null && retryInMs() <= 0;
    },
    get mayRecover() {
      if (refusal !== null || !link.mayOpen) return false;
      // Another plan of this name is being fetched. Where none of this name is served, none will come.
      return link.welcome === null || link.welcome.plans.some(({ name }) => name === plan.name);
    },
    retryInMs,
    failed(error) {
      if (error.retryable) {
        const pauseMs = Math.max(RETRY_MS * 2 ** failures++, error.retryAfterMs ?? 0);
        retryAtMs = clock.now() + Math.min(RETRY_MS_MAX, pauseMs);
      } else {
        refusal = `the gateway refused: ${error.code}: ${error.message}`;
      }
    },
  };
}
