/** HTTP on express: plans and segments for clients, health and metrics for operators. Beside it only ws.ts and exchange.ts know a web library. */
import express, { type Express, type Request, type RequestHandler, type Response } from 'express';
import { PLAN_FILE } from '../../shared/bundle.ts';
import { TandemError } from '../../shared/errors.ts';
import { filePath, modelPath, planHeadPath, RECEIPT_KEY_PATH, WS_PATH } from '../../shared/protocol/paths.ts';
import type { GatewayMetrics } from '../metrics.ts';
import type { Store, StoredFile } from '../store.ts';
import { HTTP_STATUS } from './http-status.ts';
import { isAllowedOrigin } from './origins.ts';

export interface HttpOptions {
  readonly store: Store;
  readonly metrics: GatewayMetrics;
  readonly isReady: () => boolean;
  /** Origins whose pages may fetch from here: exact ones, or `*`. Pages of the gateway's own origin always may. */
  readonly origins: readonly string[];
  /** Base64 of the public key that receipts are signed with. */
  readonly receiptKey: string;
  /** Static files to serve besides, by path. */
  readonly site: ReadonlyMap<string, StoredFile>;
  /** The protocol without a WebSocket: exchange.ts. */
  readonly exchanges: RequestHandler;
}

const YEAR_S = 31_536_000;

export function httpApp({ store, metrics, isReady, origins, site, receiptKey, exchanges }: HttpOptions): Express {
  const app = express();
  app.disable('x-powered-by');
  // A proxy that lets nobody at /metrics knows no other spelling of it.
  app.enable('strict routing').enable('case sensitive routing');
  app.use((request, response, next) => {
    const { origin } = request.headers;
    response.vary('Origin');
    // What says nothing else: caches on the way would keep health, metrics and files that are not there yet as they please.
    response.set({ 'X-Content-Type-Options': 'nosniff', 'Cache-Control': 'no-store' });
    if (origin && isAllowedOrigin(origins, origin)) {
      response.set('Access-Control-Allow-Origin', origin);
      // Browsers ask first whether a token may be sent, and some whether a download may go on where it broke.
      if (request.method === 'OPTIONS') {
        const headers = { 'Access-Control-Allow-Headers': 'Authorization, Range', 'Access-Control-Max-Age': '7200' };
        response.set(headers).status(204).end();
        return;
      }
    }
    // Clients send none, and express would leave it off.
    if (request.url.includes('#')) throw new TandemError('NOT_FOUND', `there is nothing at ${request.url}`);
    next();
  });

  app.get('/healthz', (_request, response) => {
    response.type('text').send('ok\n');
  });
  app.get('/readyz', (_request, response) => {
    const ready = isReady();
    response
      .status(ready ? 200 : 503)
      .type('text')
      .send(ready ? 'ready\n' : 'not ready\n');
  });
  app.get('/metrics', async (_request, response) => {
    response.type(metrics.registry.contentType).send(await metrics.registry.metrics());
  });

  app.get(WS_PATH, (_request, response) => {
    response.status(426).set('Upgrade', 'websocket').type('text').send('this path speaks WebSocket\n');
  });

  app.get(RECEIPT_KEY_PATH, (_request, response) => {
    response.json({ algorithm: 'Ed25519', key: receiptKey });
  });

  app.use(exchanges);

  app.get('/models', (_request, response) => {
    response.json([...store.values()].map(({ plan }) => ({ name: plan.name, plan: plan.id })));
  });
  app.get<{ name: string }>(`${modelPath(':name')}/${PLAN_FILE}`, (request, response) => {
    // Measuring again changes the file but not the plan id: always asked for again, answered with 304 when unchanged.
    send(request, response, bundleOf(store, request.params.name).planFile, 'no-cache');
  });
  app.get<{ name: string }>(planHeadPath(':name'), (request, response) => {
    send(request, response, bundleOf(store, request.params.name).headFile, 'no-cache');
  });
  app.get<{ name: string; sha256: string }>(
    filePath(':name', { sha256: ':sha256', file: ':file' }),
    (request, response) => {
      const { name, sha256 } = request.params;
      const file = bundleOf(store, name).files.get(sha256);
      if (!file) throw new TandemError('NOT_FOUND', `${name} has no file with the SHA-256 ${sha256}`);
      send(request, response, file, `public, max-age=${YEAR_S}, immutable`);
    },
  );

  app.use((request: Request, response: Response) => {
    const file = ['GET', 'HEAD'].includes(request.method) ? site.get(request.path) : undefined;
    if (file) return send(request, response, file, 'no-cache');
    throw new TandemError('NOT_FOUND', `there is nothing at ${request.path}`);
  });
  app.use((error: unknown, request: Request, response: Response, _next: unknown) => {
    const known = error instanceof TandemError ? error : tooLarge(error, request);
    const status = known ? HTTP_STATUS[known.code] : ((error as { status?: number }).status ?? 500);
    const message = known?.message ?? (status < 500 ? 'bad request' : 'internal error');
    const code = known?.code ?? (status < 500 ? 'BAD_MESSAGE' : 'INTERNAL');
    response.status(status).json({ error: code, message });
  });
  return app;
}

/** What express says of a body beyond the limit that it was given. */
function tooLarge(error: unknown, { headers }: Request): TandemError | undefined {
  const { status, limit } = error as { status?: number; limit?: number };
  if (status !== 413) return undefined;
  const bytes = headers['content-length'] ?? 'more';
  return new TandemError('FRAME_TOO_LARGE', `the gateway takes ${limit} bytes, the body has ${bytes}`);
}

function bundleOf(store: Store, name: string) {
  const bundle = store.get(name);
  if (!bundle) {
    throw new TandemError('UNKNOWN_MODEL', `this server has no model ${name}, only ${[...store.keys()].join(', ')}`);
  }
  return bundle;
}

/** In the smallest form that the client takes, and 304 where it has the file. */
function send(request: Request, response: Response, file: StoredFile, cacheControl: string): void {
  response.set('Cache-Control', cacheControl).set('ETag', file.etag).vary('Accept-Encoding');
  if (request.fresh) {
    response.status(304).end();
    return;
  }
  response.set('Accept-Ranges', 'bytes');
  const range = rangeOf(request, file.identity.byteLength);
  if (range) {
    const { identity } = file;
    const { from, to } = range;
    response.status(206).set('Content-Range', `bytes ${from}-${to - 1}/${identity.byteLength}`);
    response.type(file.contentType).send(Buffer.from(identity.buffer, identity.byteOffset + from, to - from));
    return;
  }
  const [encoding, body] = smallestForm(request, file);
  if (encoding) response.set('Content-Encoding', encoding);
  response.type(file.contentType).send(Buffer.from(body.buffer, body.byteOffset, body.byteLength));
}

/**
 * A part of a file, `bytes=N-M`, or where a download that broke goes on, `bytes=N-`: of the file as it is and not of an encoded form.
 * Other ranges are answered with the whole file, which HTTP allows; so are those with `If-Range`, whose ETag is that of every
 * encoded form.
 */
function rangeOf(request: Request, size: number): { readonly from: number; readonly to: number } | undefined {
  if (request.method !== 'GET' || request.headers['if-range'] !== undefined) return undefined;
  const [, first, last] = /^bytes=(\d{1,15})-(\d{0,15})$/.exec(request.headers.range ?? '') ?? [];
  if (first === undefined) return undefined;
  const from = Number(first);
  const to = last ? Math.min(size, Number(last) + 1) : size;
  return from < to ? { from, to } : undefined;
}

/** Clients name all that they can read with equal weight: the size decides. */
function smallestForm(request: Request, { encodings, identity }: StoredFile): readonly [string | null, Uint8Array] {
  const forms = Object.entries(encodings).filter(([encoding]) => request.acceptsEncodings(encoding));
  return forms.reduce<readonly [string | null, Uint8Array]>(
    (best, form) => (form[1].byteLength < best[1].byteLength ? form : best),
    [null, identity],
  );
}
