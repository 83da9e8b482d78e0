/** What one request knows of the gateway: whether it can be asked now, is worth waiting for, or is of no use to it. */
import type { Clock } from '../shared/clock.ts';
import type { TandemError } from '../shared/errors.ts';
import type { Plan } from '../shared/plan.ts';
import type { Link } from './link.ts';

/** Pause before a request that the gateway could not take now is sent again; doubles each time. */
const RETRY_MS = 200;
const RETRY_MS_MAX = 10_000;

export class Remote {
  /** Why the gateway will not do it, however often it is asked. */
  refusal: string | null = null;
  private retryAtMs = 0;
  private failures = 0;
  private readonly clock: Clock;
  private readonly link: Link;
  private readonly plan: Plan;

  constructor(clock: Clock, link: Link, plan: Plan) {
    this.clock = clock;
    this.link = link;
    this.plan = plan;
  }

  /** Whether a boundary can be sent now. */
  get isReachable(): boolean {
    const isServed = this.link.welcome?.plans.some(({ id }) => id === this.plan.id) ?? false;
    return this.link.isOpen && isServed && this.refusal === null && this.retryInMs <= 0;
  }

  /** Whether it is worth waiting until one can. */
  get mayRecover(): boolean {
    const { link, plan } = this;
    if (this.refusal !== null || !link.mayOpen) return false;
    // Another plan of this name is being fetched. Where none of this name is served, none will come.
    return link.welcome === null || link.welcome.plans.some(({ name }) => name === plan.name);
  }

  /** Milliseconds until it may be asked again, where it asked for a pause: of this request, or of all of this client's. */
  get retryInMs(): number {
    return Math.max(this.retryAtMs, this.link.pausedUntilMs) - this.clock.now();
  }

  /** Takes note of why a request that was sent, or could not be, has no reply. */
  failed(error: TandemError): void {
    if (error.retryable) {
      const pauseMs = Math.max(RETRY_MS * 2 ** this.failures++, error.retryAfterMs ?? 0);
      this.retryAtMs = this.clock.now() + Math.min(RETRY_MS_MAX, pauseMs);
    } else {
      this.refusal = `the gateway refused: ${error.code}: ${error.message}`;
    }
  }
}
