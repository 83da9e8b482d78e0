/** What was learnt of device, link and server outlives the page: read once at the start, and written now and then. */
import type { Estimates } from '../shared/schedule/estimates.ts';
import { readKept, writeKept } from '../shared/schedule/kept.ts';
import { ESTIMATES_PREFIX } from './file-store.ts';
import type { Host } from './host.ts';

/** Time between two writes. */
const WRITE_EVERY_MS = 5_000;
/** What is learnt is not written in the way of its own request. What is begun when a page is left may not be finished. */
const WRITE_AFTER_MS = 500;

export interface KeptEstimates {
  /** Nobody need wait for it. */
  read(): Promise<void>;
  /** More was learnt. */
  writeSoon(): void;
  /** At once: the page may be left. Not before it was read, or what is there would be lost. */
  write(): void;
}

/** @param source the plan's address */
export function keptEstimates(
  estimates: Estimates,
  { clock, files, wallClock }: Pick<Host, 'clock' | 'files' | 'wallClock'>,
  source: string,
): KeptEstimates {
  const name = ESTIMATES_PREFIX + source;
  let isRead = false;
  let written = estimates.current;
  let writtenAtMs = Number.NEGATIVE_INFINITY;
  let stopTimer: (() => void) | null = null;
  const write = () => {
    stopTimer?.();
    stopTimer = null;
    const { current } = estimates;
    if (!isRead || !wallClock || current === written) return;
    written = current;
    writtenAtMs = clock.now();
    const json = writeKept(current, writtenAtMs, wallClock());
    files.put(name, new TextEncoder().encode(json)).catch(() => {});
  };
  return {
    async read() {
      if (!wallClock) return;
      const bytes = await files.get(name).catch(() => undefined);
      const kept = bytes && readKept(new TextDecoder().decode(bytes), wallClock());
      if (kept) estimates.restore(kept.state, kept.ageMs, clock.now());
      isRead = true;
    },
    writeSoon() {
      if (!isRead || stopTimer) return;
      stopTimer = clock.after(Math.max(WRITE_AFTER_MS, writtenAtMs + WRITE_EVERY_MS - clock.now()), write);
    },
    write,
  };
}
