/**
 * Steps that have killed a page do not kill it again: a risky step is written down before it begins and crossed out when it has
 * ended. What a page finds written down, the one before it died in: no handler runs when a browser ends a page for its memory.
 */

/** What is used of a page's storages. */
export type MarkStorage = Pick<Storage, 'getItem' | 'setItem' | 'removeItem'>;
/** All of it may throw, the asking for it too. false: there is none. */
type GetStorage = () => MarkStorage | false;

const UNDER_WAY = 'tandem.under-way';
const FATAL = 'tandem.fatal';
/** A browser of another version may survive what this one did not. */
const BELIEVED_MS = 14 * 24 * 3600 * 1000;
const KEPT_MAX = 32;

export interface CrashMarker {
  /** Whether a page died in this step. */
  hasKilled(step: string): boolean;
  begin(step: string): void;
  end(step: string): void;
  /** The page is left in good order. */
  endAll(): void;
}

/**
 * @param tab `sessionStorage`, which a tab keeps when it is loaded again: another tab may be in the same step and well
 * @param origin `localStorage`
 * @param nowMs by the calendar: marks outlive the page
 */
export function crashMarker(tab: GetStorage, origin: GetStorage, nowMs: number): CrashMarker {
  /** Clients of one page load at the same time: of what was under way any may have been fatal. */
  const underWay: string[] = [];
  const fatal = new Map<string, number>();
  // What is stored may be anything: what it is not to be does no harm, or throws.
  tried(origin, (store) => {
    for (const [step, atMs] of JSON.parse(store.getItem(FATAL) ?? '[]') as [string, number][])
      if (nowMs - atMs < BELIEVED_MS) fatal.set(step, atMs);
  });
  tried(tab, (store) => {
    for (const step of JSON.parse(store.getItem(UNDER_WAY) ?? '[]') as string[]) fatal.set(step, nowMs);
  });
  const write = () => tried(tab, (store) => store.setItem(UNDER_WAY, JSON.stringify(underWay)));
  write();
  const list = JSON.stringify([...fatal].slice(-KEPT_MAX));
  tried(origin, (store) => (fatal.size > 0 ? store.setItem(FATAL, list) : store.removeItem(FATAL)));
  return {
    hasKilled: (step) => fatal.has(step),
    begin(step) {
      underWay.push(step);
      write();
    },
    end(step) {
      const at = underWay.indexOf(step);
      if (at >= 0) underWay.splice(at, 1);
      write();
    },
    endAll() {
      underWay.length = 0;
      write();
    },
  };
}

function tried<T>(storage: GetStorage, work: (storage: MarkStorage) => T): T | undefined {
  try {
    return work(storage() as MarkStorage);
  } catch {
    // Private windows and sandboxed frames: then nothing is remembered.
    return undefined;
  }
}
