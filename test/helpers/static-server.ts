/** A folder over HTTP, as any static host serves it, with headers that the test chooses. */
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { extname, join, normalize } from 'node:path';

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript',
  '.mjs': 'text/javascript',
  '.wasm': 'application/wasm',
};

export interface StaticServer {
  readonly origin: string;
  /** What is served, and with which headers. */
  show(folder: string, headers?: Readonly<Record<string, string>>): void;
  /** Paths that were asked for since `show`. */
  readonly asked: readonly string[];
  close(): Promise<void>;
}

export async function staticServer(): Promise<StaticServer> {
  let shown: { folder: string; headers: Readonly<Record<string, string>> } | null = null;
  const asked: string[] = [];
  const server = createServer(async (request, response) => {
    const { pathname } = new URL(request.url ?? '/', 'http://localhost');
    asked.push(pathname);
    const path = normalize(pathname === '/' ? '/index.html' : pathname);
    const file = join(shown?.folder ?? '', path);
    const isFile = shown !== null && ((await stat(file).catch(() => null))?.isFile() ?? false);
    if (!isFile) {
      response.writeHead(404).end();
      return;
    }
    response.writeHead(200, { 'Content-Type': TYPES[extname(file)] ?? 'application/octet-stream', ...shown?.headers });
    createReadStream(file).pipe(response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    show(folder, headers = {}) {
      shown = { folder, headers };
      asked.length = 0;
    },
    asked,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** A port that nothing listens at, and the origin of pages there. */
export async function freePort(): Promise<{ origin: string; port: string }> {
  const server = await staticServer();
  await server.close();
  return { origin: server.origin, port: new URL(server.origin).port };
}
