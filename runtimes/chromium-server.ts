/**
 * What pages of `chromium.ts` load and exchange, over HTTP on this machine: onnxruntime-web, models, tensors. Playwright's own
 * channel speaks JSON, which megabytes of floats are too long for.
 */
import { readFile } from 'node:fs/promises';
import { createServer, type IncomingMessage } from 'node:http';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import { basename, dirname, join } from 'node:path';

export interface PageServer {
  /** A page with onnxruntime-web as the global `ort`. */
  pageUrl(bundle: string): string;
  /** Where bytes can be fetched from until they are forgotten. */
  offer(body: Uint8Array): string;
  /** Where bytes can be posted to. */
  expect(): string;
  received(url: string): Uint8Array;
  forget(url: string): void;
  close(): void;
}

export async function servePages(): Promise<PageServer> {
  const bodies = new Map<string, Uint8Array>();
  let count = 0;
  const expect = () => `/body/${count++}`;
  const server = createServer(async (request, response) => {
    const { pathname, search } = new URL(request.url ?? '/', 'http://localhost');
    // Isolated pages get threads, and a clock of 5 microseconds instead of 100.
    response.setHeader('Cross-Origin-Opener-Policy', 'same-origin');
    response.setHeader('Cross-Origin-Embedder-Policy', 'require-corp');
    if (request.method === 'POST') bodies.set(pathname, await bodyOf(request));
    const { type, body } = request.method === 'POST' ? { type: 'text/plain', body: '' } : await find(pathname, search);
    response.writeHead(body === undefined ? 404 : 200, { 'Content-Type': type }).end(body);
  });
  const find = async (pathname: string, search: string) => {
    if (pathname === '/') return { type: 'text/html', body: pageOf(search.slice(1)) };
    if (bodies.has(pathname)) return { type: 'application/octet-stream', body: bodies.get(pathname) };
    return { type: typeOf(pathname), body: await readFile(ortFile(pathname)).catch(() => undefined) };
  };
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    pageUrl: (bundle) => `${origin}/?${bundle}`,
    offer(body) {
      const url = expect();
      bodies.set(url, body);
      return url;
    },
    expect,
    received(url) {
      const body = bodies.get(url);
      if (!body) throw new Error(`nothing was posted to ${url}`);
      return body;
    },
    forget: (url) => bodies.delete(url),
    close: () => server.close(),
  };
}

function pageOf(bundle: string): string {
  return `<!doctype html><script type="module">import * as ort from '/ort/${bundle}'; globalThis.ort = ort;</script>`;
}

function ortFile(pathname: string): string {
  return join(dirname(createRequire(import.meta.url).resolve('onnxruntime-web')), basename(pathname));
}

function typeOf(path: string): string {
  if (path.endsWith('.mjs')) return 'text/javascript';
  return path.endsWith('.wasm') ? 'application/wasm' : 'text/plain';
}

async function bodyOf(request: IncomingMessage): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of request) chunks.push(chunk as Uint8Array);
  return Buffer.concat(chunks);
}
