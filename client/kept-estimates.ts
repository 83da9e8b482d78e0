/** What was learnt of device, link and server outlives the page: read once at the start, and written now and then. */
import type { Estimates } from '../shared/schedule/estimates.ts';
import { readKept, writeKept } from '../shared/schedule/kept.ts';
import { ESTIMATES_PREFIX, NO_STORE } from './file-store.ts';
import type { Host } from './host.ts';

/** Time between two writes. */
const WRITE_EVERY_MS = 5_000;
/** What is learnt is not written in the way of its own request. What is begun when a page is left may not be finished. */
const WRITE_AFTER_MS = 500;

export class KeptEstimates {
  private readonly estimates: Estimates;
  private readonly host: Pick<Host, 'clock' | 'files' | 'wallClock'>;
  private readonly name: string;
  private isRead = false;
  private written: Estimates['current'];
  private writtenAtMs = Number.NEGATIVE_INFINITY;
  private stopTimer: (() => void) | null = null;

  /** @param source the plan's address */
  constructor(estimates: Estimates, host: Pick<Host, 'clock' | 'files' | 'wallClock'>, source: string) {
    this.estimates = estimates;
    this.host = host;
    this.name = ESTIMATES_PREFIX + source;
    this.written = estimates.current;
  }

  /** Nobody need wait for it. */
  async read(): Promise<void> {
    const { clock, files, wallClock } = this.host;
    if (!wallClock || files === NO_STORE) return;
    const bytes = await files.get(this.name).catch(() => undefined);
    const kept = bytes && readKept(new TextDecoder().decode(bytes), wallClock());
    if (kept) this.estimates.restore(kept.state, kept.ageMs, clock.now());
    this.isRead = true;
  }

  /** More was learnt. */
  writeSoon(): void {
    if (!this.isRead || this.stopTimer) return;
    const { clock } = this.host;
    const pauseMs = Math.max(WRITE_AFTER_MS, this.writtenAtMs + WRITE_EVERY_MS - clock.now());
    this.stopTimer = clock.after(pauseMs, () => this.write());
  }

  /** At once: the page may be left. Not before it was read, or what is there would be lost. */
  write(): void {
    this.stopTimer?.();
    this.stopTimer = null;
    const { estimates, host } = this;
    const { current } = estimates;
    if (!this.isRead || !host.wallClock || current === this.written) return;
    this.written = current;
    this.writtenAtMs = host.clock.now();
    const json = writeKept(current, this.writtenAtMs, host.wallClock());
    host.files.put(this.name, new TextEncoder().encode(json)).catch(() => {});
  }
}
