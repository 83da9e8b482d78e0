/**
 * Steps that have killed a page do not kill it again: a risky step is written down before it begins and crossed out when it has
 * ended. What a page finds written down, the one before it died in: no handler runs when a browser ends a page for its memory.
 */

/** What is used of a page's storages; all of it may throw, or be missing. */
export type MarkStorage = Pick<Storage, 'getItem' | 'setItem' | 'removeItem'>;

const UNDER_WAY = 'tandem.under-way';
const FATAL = 'tandem.fatal';
/** A browser of another version may survive what this one did not. */
const BELIEVED_MS = 14 * 24 * 3600 * 1000;
const KEPT_MAX = 32;

export class CrashMarker {
  private readonly fatal = new Map<string, number>();
  /** Clients of one page load at the same time: of what was under way any may have been fatal. */
  private readonly underWay: string[] = [];
  private readonly tab: MarkStorage | null;
  private readonly origin: MarkStorage | null;

  /**
   * @param tab `sessionStorage`, which a tab keeps when it is loaded again: another tab may be in the same step and well
   * @param origin `localStorage`
   * @param nowMs by the calendar: marks outlive the page
   */
  constructor(tab: MarkStorage | null, origin: MarkStorage | null, nowMs: number) {
    this.tab = tab;
    this.origin = origin;
    for (const [step, atMs] of this.read()) if (nowMs - atMs < BELIEVED_MS) this.fatal.set(step, atMs);
    const left = tried(tab, (store) => JSON.parse(store.getItem(UNDER_WAY) ?? '[]') as unknown);
    if (Array.isArray(left)) for (const step of left) this.fatal.set(String(step), nowMs);
    this.write();
    const list = JSON.stringify([...this.fatal].slice(-KEPT_MAX));
    tried(origin, (store) => (this.fatal.size > 0 ? store.setItem(FATAL, list) : store.removeItem(FATAL)));
  }

  /** Whether a page died in this step. */
  hasKilled(step: string): boolean {
    return this.fatal.has(step);
  }

  begin(step: string): void {
    this.underWay.push(step);
    this.write();
  }

  end(step: string): void {
    const at = this.underWay.indexOf(step);
    if (at >= 0) this.underWay.splice(at, 1);
    this.write();
  }

  /** The page is left in good order. */
  endAll(): void {
    this.underWay.length = 0;
    this.write();
  }

  private write(): void {
    tried(this.tab, (store) => store.setItem(UNDER_WAY, JSON.stringify(this.underWay)));
  }

  private read(): readonly (readonly [string, number])[] {
    const parsed = tried(this.origin, (store) => JSON.parse(store.getItem(FATAL) ?? '[]') as unknown);
    if (!Array.isArray(parsed)) return [];
    return parsed.filter((entry): entry is [string, number] => {
      return Array.isArray(entry) && typeof entry[0] === 'string' && typeof entry[1] === 'number';
    });
  }
}

function tried<T>(storage: MarkStorage | null, work: (storage: MarkStorage) => T): T | undefined {
  try {
    return storage ? work(storage) : undefined;
  } catch {
    // Private windows and sandboxed frames: then nothing is remembered.
    return undefined;
  }
}
