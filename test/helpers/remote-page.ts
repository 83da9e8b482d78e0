/** A page that does what a test says without a driver (../browser/obey.ts): it asks this process what is next, and tells what came of it. */
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { EngineActions } from '../browser/engine-page.ts';

/** What a page can do, by name. */
export type Actions = Readonly<Record<string, (...args: never[]) => unknown>>;

export interface RemotePage<A extends Actions = EngineActions> {
  /** Where the page asks: it is told as `control` in its address. */
  readonly url: string;
  /** Until it is there, or there again. Rejects after half a minute, with `log` in the message. */
  loaded(): Promise<void>;
  /** Has it do something that it knows. Rejects with what it failed with, and after a minute. */
  do<N extends keyof A & string>(name: N, ...args: Parameters<A[N]>): Promise<Awaited<ReturnType<A[N]>>>;
  close(): Promise<void>;
}

/** What the page is told to do, and what it answers. */
export interface Order {
  readonly name: string;
  readonly args: readonly unknown[];
}
export type Reply = { readonly result: unknown } | { readonly error: string };

const LOADED_MS_MAX = 30_000;
const REPLY_MS_MAX = 60_000;

export async function remotePage<A extends Actions = EngineActions>(log: () => string): Promise<RemotePage<A>> {
  let asking: ServerResponse | null = null;
  let order: Order | null = null;
  let onReply: (reply: Reply) => void = () => {};
  let onLoaded: () => void = () => {};
  let isLoaded = false;
  const give = () => {
    if (!asking || !order) return;
    asking.end(JSON.stringify(order));
    [asking, order] = [null, null];
  };
  const server = createServer(async (request, response) => {
    response.setHeader('Access-Control-Allow-Origin', '*');
    let body = '';
    for await (const chunk of request) body += chunk;
    if (request.url === '/next') {
      asking = response;
      // A page that goes does not ask any more.
      response.once('close', () => {
        if (asking === response) asking = null;
      });
      give();
      return;
    }
    response.end();
    if (request.url === '/loaded') {
      isLoaded = true;
      onLoaded();
    } else if (request.url === '/reply') {
      onReply(JSON.parse(body));
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const within = <T>(ms: number, what: string, executor: (resolve: (value: T) => void) => void): Promise<T> =>
    new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`${what} within ${ms} ms; the browser said:\n${log()}`)), ms);
      executor((value) => {
        clearTimeout(timer);
        resolve(value);
      });
    });
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    loaded: () =>
      within(LOADED_MS_MAX, 'no page was there', (resolve) => {
        onLoaded = () => {
          isLoaded = false;
          resolve();
        };
        if (isLoaded) onLoaded();
      }),
    async do(name, ...args) {
      const reply = await within<Reply>(REPLY_MS_MAX, `"${name}" was not done`, (resolve) => {
        onReply = resolve;
        order = { name, args };
        give();
      });
      if ('error' in reply) throw new Error(reply.error);
      return reply.result as never;
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
