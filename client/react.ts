'use client';
/** `tandem/react`: a client that lives as long as the component that uses it. On a server it does nothing. */
import { useEffect, useState, useSyncExternalStore } from 'react';
import { type BrowserClient, type BrowserOptions, connect } from './browser.ts';
import type { ClientState, ModelTypes } from './types.ts';

/** Without `first`: by the time a component has mounted the SDK can be there. */
export type TandemOptions = Omit<BrowserOptions, 'signal' | 'first'>;

export interface Tandem<T extends ModelTypes = ModelTypes> {
  /** Null until there is a plan and a worker, and on a server. */
  readonly client: BrowserClient<T> | null;
  readonly state: ClientState | null;
  /** Why there is no client: what `connect` rejected with. */
  readonly error: unknown;
}

/**
 * Connects when mounted and closes when unmounted. Options are compared by what they say: others than before connect
 * anew. Functions (`token`, `worker`) are those of the render that connects.
 */
export function useTandem<T extends ModelTypes = ModelTypes>(options: TandemOptions): Tandem<T> {
  const [connection] = useState(createConnection);
  // biome-ignore lint/correctness/useExhaustiveDependencies: a new object that says the same is no reason to connect anew.
  useEffect(() => connection.open(options), [connection, JSON.stringify(options)]);
  return useSyncExternalStore(connection.subscribe, connection.current, () => NOTHING) as unknown as Tandem<T>;
}

const NOTHING: Tandem = { client: null, state: null, error: null };

interface Connection {
  /** Gives what closes it. A second one may be opened before the first has come about. */
  open(options: TandemOptions): () => void;
  subscribe(listener: () => void): () => void;
  current(): Tandem;
}

function createConnection(): Connection {
  const listeners = new Set<() => void>();
  let tandem = NOTHING;
  const set = (next: Tandem) => {
    tandem = next;
    for (const listener of listeners) listener();
  };
  return {
    open(options) {
      const closing = new AbortController();
      const { signal } = closing;
      const connected = async () => {
        // StrictMode's first mount is over by then: for it nothing is begun, of whose end browsers would complain.
        await null;
        signal.throwIfAborted();
        return connect({ ...options, signal });
      };
      const opened = connected().then(
        (client) => {
          const show = (state: ClientState) => {
            if (!signal.aborted) set({ client, state, error: null });
          };
          client.addEventListener('statechange', ({ detail }) => show(detail));
          show(client.state);
          return client;
        },
        (error: unknown) => {
          if (!signal.aborted) set({ ...NOTHING, error });
          return null;
        },
      );
      return () => {
        closing.abort();
        set(NOTHING);
        void opened.then((client) => client?.close());
      };
    },
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    current: () => tandem,
  };
}
