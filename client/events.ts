/** An EventTarget whose listeners cannot hurt: what one throws is reported, and the others are called all the same. */
import type { ClientEventMap, ClientEvents } from './types.ts';

export interface Events extends ClientEvents {
  dispatch<T extends keyof ClientEventMap>(type: T, detail: ClientEventMap[T]['detail']): void;
}

export function guardedEvents(report: (error: unknown) => void): Events {
  const target = new EventTarget();
  const guarded = new WeakMap<object, EventListener>();
  return {
    addEventListener(type, listener, options) {
      const guard: EventListener =
        guarded.get(listener) ??
        ((event) => {
          try {
            listener(event as Parameters<typeof listener>[0]);
          } catch (error) {
            report(error);
          }
        });
      guarded.set(listener, guard);
      target.addEventListener(type, guard, options);
    },
    removeEventListener: (type, listener) => target.removeEventListener(type, guarded.get(listener) ?? null),
    dispatch: (type, detail) => target.dispatchEvent(new CustomEvent(type, { detail })),
  };
}
