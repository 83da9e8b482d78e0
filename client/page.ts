/** What a page tells of where it runs: that it was away, that the network changed, that data or power is to be saved. */
import type { Network } from './permissions.ts';

/** What is used of the Network Information API (wicg.github.io/netinfo). */
export interface Connection extends Network, EventTarget {
  readonly saveData?: boolean | undefined;
}

/** What is used of the Battery Status API (w3.org/TR/battery-status): both change while it is held. */
export interface Battery {
  readonly charging: boolean;
  /** 0 to 1. */
  readonly level: number;
}

/** Of `navigator`; browsers lack some of it. */
export interface PageNavigator {
  readonly connection?: Connection | undefined;
  getBattery?(): Promise<Battery>;
}

const LOW_LEVEL = 0.2;

/**
 * Phones drop sockets of hidden pages, and of networks that are gone, without a word: look at once when the page is seen, or the
 * network is back or gone.
 * @param page in workers, which nobody tells whether a page is seen, any target
 * @param wallClock goes on while the device sleeps
 */
export function listenForWake(
  page: EventTarget & Partial<Pick<Document, 'visibilityState'>>,
  window: EventTarget,
  wallClock: () => number,
  listener: (awayMs: number) => void,
): () => void {
  const hiddenAtMs = () => (page.visibilityState === 'hidden' ? wallClock() : null);
  let leftAtMs = hiddenAtMs();
  const leave = () => {
    leftAtMs ??= wallClock();
  };
  const back = () => {
    const awayMs = leftAtMs === null ? 0 : Math.max(0, wallClock() - leftAtMs);
    leftAtMs = hiddenAtMs();
    listener(awayMs);
  };
  // A page that is shown for the first time was nowhere else.
  const onShow = (event: Event) => {
    if ((event as PageTransitionEvent).persisted) back();
  };
  const onVisible = () => (page.visibilityState === 'visible' ? back() : leave());
  return listenToAll([
    [page, 'visibilitychange', onVisible],
    // Of a page that was frozen, and may have been in sight all the while.
    [page, 'freeze', leave],
    [page, 'resume', back],
    [window, 'pageshow', onShow],
    [window, 'online', back],
    [window, 'offline', back],
  ]);
}

/** The browser speaks up at each new guess at the speed; another network is one of another kind, or the first after none. */
export function listenForNetwork(window: EventTarget, { connection }: PageNavigator, listener: () => void): () => void {
  const kind = () => `${connection?.type} ${connection?.effectiveType}`;
  let known = kind();
  const onChange = () => {
    const now = kind();
    if (now === known) return;
    known = now;
    listener();
  };
  return listenToAll([
    [window, 'online', listener],
    ...(connection ? [[connection, 'change', onChange] as const] : []),
  ]);
}

/** Whether the battery is low and not being charged; false where nobody can say, and until somebody does. */
export function lowBattery(navigator: PageNavigator): () => boolean {
  let battery: Battery | null = null;
  // Pages that are embedded may not ask.
  navigator.getBattery?.().then(
    (found) => {
      battery = found;
    },
    () => {},
  );
  return () => battery !== null && !battery.charging && battery.level < LOW_LEVEL;
}

/** Gives what stops it. */
export function listenToAll(all: readonly (readonly [EventTarget, string, (event: Event) => void])[]): () => void {
  for (const [target, type, listener] of all) target.addEventListener(type, listener);
  return () => {
    for (const [target, type, listener] of all) target.removeEventListener(type, listener);
  };
}
