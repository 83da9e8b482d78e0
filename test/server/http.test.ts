/** Files over HTTP, to browsers of another origin and to those that go on where they were. */
import { get, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { smallPlan } from '../../client/testkit/small-plan.ts';
import { httpApp } from '../../server/adapters/http.ts';
import { gatewayMetrics } from '../../server/metrics.ts';
import type { StoredFile } from '../../server/store.ts';

const file: StoredFile = {
  ...{ contentType: 'application/octet-stream', etag: '"abc"', encodings: {} },
  identity: Uint8Array.of(1, 2, 3, 4),
};
const url = () => `http://127.0.0.1:${(server.address() as AddressInfo).port}/models/small/f0/1.onnx`;

let server: Server;
beforeAll(async () => {
  const plan = smallPlan();
  const bundle = { plan, planFile: file, headFile: file, segments: [], files: new Map([['f0', file]]) };
  const origins = ['https://app.example'];
  const load = { queueDepth: 0, inFlight: 0, queueMs: 0 };
  const state = { load: () => load, inFlight: () => 0, isReady: () => true };
  const app = httpApp({
    ...{
      store: new Map([['small', bundle]]),
      metrics: gatewayMetrics(state),
      isReady: () => true,
      origins,
      site: new Map(),
      receiptKey: 'the key',
      exchanges: (_request, _response, next) => next(),
    },
  });
  await new Promise<void>((resolve) => {
    server = app.listen(0, '127.0.0.1', () => resolve());
  });
});
afterAll(() => server.close());

describe('a download that goes on', () => {
  test('gets the rest', async () => {
    const response = await fetch(url(), { headers: { Range: 'bytes=3-' } });
    expect([response.status, new Uint8Array(await response.arrayBuffer())]).toEqual([206, Uint8Array.of(4)]);
  });

  test('gets all where it may have begun in another encoding', async () => {
    const response = await fetch(url(), { headers: { Range: 'bytes=3-', 'If-Range': '"abc"' } });
    expect([response.status, (await response.arrayBuffer()).byteLength]).toEqual([200, 4]);
  });

  test.each([
    ['https://app.example', 'Authorization, Range'],
    ['https://other.example', null],
  ])('may be asked for by pages of %s: %s', async (origin, allowed) => {
    const headers = {
      Origin: origin,
      'Access-Control-Request-Method': 'GET',
      'Access-Control-Request-Headers': 'range',
    };
    const response = await fetch(url(), { method: 'OPTIONS', headers });
    expect(response.headers.get('Access-Control-Allow-Headers')).toBe(allowed);
    expect(response.ok).toBe(allowed !== null);
  });
});

test.each(['/metrics/', '/Metrics', '//metrics', '/metrics/.', '/%6Detrics', '/metrics;a', '/metrics#a', '/healthz/'])(
  '%s is no other name of what is there: a proxy that keeps a path from strangers keeps it whole',
  async (path) => {
    const { port } = server.address() as AddressInfo;
    const status = await new Promise((resolve, reject) => {
      get({ port, host: '127.0.0.1', path }, (response) => resolve(response.resume().statusCode)).on('error', reject);
    });
    expect(status).toBe(404);
  },
);

test('who asks for a model that is not here is told of those that are', async () => {
  const response = await fetch(new URL('/models/smal/plan.json', url()));
  const message = 'this server has no model smal, only small';
  expect([response.status, await response.json()]).toEqual([404, { error: 'UNKNOWN_MODEL', message }]);
});

test('the key that receipts are signed with is at a well-known path, for pages that may fetch here', async () => {
  const address = new URL('/.well-known/tandem-receipt-key', url());
  const response = await fetch(address, { headers: { Origin: 'https://app.example' } });
  expect(await response.json()).toEqual({ algorithm: 'Ed25519', key: 'the key' });
  expect(response.headers.get('Access-Control-Allow-Origin')).toBe('https://app.example');
});

test.each([
  ['/models/small/f0/1.onnx', 'public, max-age=31536000, immutable'],
  ['/models/small/plan.json', 'no-cache'],
  ['/models/small/f1/1.onnx', 'no-store'],
  ['/models', 'no-store'],
  ['/readyz', 'no-store'],
  ['/metrics', 'no-store'],
  ['/.well-known/tandem-receipt-key', 'no-store'],
])('a cache on the way is told what to do with %s: %s', async (path, cacheControl) => {
  const { headers } = await fetch(new URL(path, url()));
  expect(headers.get('Cache-Control')).toBe(cacheControl);
});
