import { spawn } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { get } from 'node:http';
import { createConnection } from 'node:net';
import { join } from 'node:path';
import { verifyReceipt } from 'tandem/client';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Plan } from '../../shared/plan.ts';
import { parsePlan } from '../../shared/plan-schema.ts';
import { encodeFrame } from '../../shared/protocol/frames.ts';
import { expectType, inferMessage, type Peer, send, sendInfer } from '../helpers/gateway-harness.ts';
import { BUNDLE_DIR, type ServerProcess, startServer, TANDEM, temporaryFolder } from '../helpers/processes.ts';
import { freePort } from '../helpers/static-server.ts';
import { connectSocket } from '../helpers/transports.ts';

let server: ServerProcess;
let plan: Plan;
beforeAll(async () => {
  server = await startServer({ frameBytesMax: 1024 * 1024 });
  plan = parsePlan(await (await fetch(`${server.url}/models/ocr-line/plan.json`)).json(), 'plan');
});
afterAll(() => server.kill());

async function welcomed({ url } = server): Promise<Peer> {
  const peer = await connectSocket(`${url.replace('http', 'ws')}/ws`);
  send(peer, { type: 'hello', client: 'test', token: null, receipts: false });
  await expectType(peer, 'welcome');
  return peer;
}

/** A request at the backbone's features whose payload is flat. */
function features(changes: Parameters<typeof inferMessage>[0] = {}) {
  // Mode 0, packed 4-bit symbols: 480 channels x 20 columns.
  const part = new Uint8Array(1 + (480 * 20) / 2);
  const message = inferMessage({
    plan: plan.id,
    k: 3,
    tier: 'q4',
    shapes: [[1, 480, 1, 20]],
    parts: [part.length],
    deadlineMs: 10_000,
    ...changes,
  });
  return { message, part };
}

describe('over HTTP the gateway', () => {
  test('is alive and ready', async () => {
    expect((await fetch(`${server.url}/healthz`)).status).toBe(200);
    expect((await fetch(`${server.url}/readyz`)).status).toBe(200);
  });

  test('serves the plan for revalidation: 304 to whoever has it', async () => {
    const first = await fetch(`${server.url}/models/ocr-line/plan.json`);
    expect(first.headers.get('cache-control')).toBe('no-cache');
    const etag = first.headers.get('etag') ?? '';
    // Not fetch: with this header it also asks for a full reload.
    const status = await new Promise((resolve) => {
      get(`${server.url}/models/ocr-line/plan.json`, { headers: { 'If-None-Match': etag } }, (response) => {
        response.resume();
        resolve(response.statusCode);
      });
    });
    expect(status).toBe(304);
  });

  test('serves a plan’s head, much smaller, under the same id', async () => {
    const whole = await (await fetch(`${server.url}/models/ocr-line/plan.json`)).text();
    const text = await (await fetch(`${server.url}/models/ocr-line/plan-head.json`)).text();
    const head = parsePlan(JSON.parse(text), 'head');
    expect(head.id).toBe(plan.id);
    expect(text.length).toBeLessThan(whole.length / 5);
    expect(head.boundaries[0]).toEqual(plan.boundaries[0]);
    expect(head.boundaries[3]).toEqual({ ...plan.boundaries[3], tiers: [] });
  });

  test('serves segments for ever, under their hash, compressed for whoever takes that', async () => {
    const first = plan.segments[0]?.targets['wasm'];
    if (!first) throw new Error('the plan has no segments for wasm');
    const { sha256, file, bytes } = first;
    const url = `${server.url}/models/ocr-line/${sha256}/${file}`;
    const response = await fetch(url, { headers: { 'Accept-Encoding': 'br' } });
    expect(response.headers.get('cache-control')).toBe('public, max-age=31536000, immutable');
    expect(response.headers.get('content-encoding')).toBe('br');
    expect(Number(response.headers.get('content-length'))).toBeLessThan(bytes);
    expect((await response.arrayBuffer()).byteLength).toBe(bytes);
    const plain = await fetch(url, { headers: { 'Accept-Encoding': 'identity' } });
    expect(plain.headers.get('content-encoding')).toBeNull();
  });

  test('gives parts of a file, goes on with it where a download broke, and gives all of it for a range that it does not know', async () => {
    const first = plan.segments[0]?.targets['wasm'];
    if (!first) throw new Error('the plan has no segments for wasm');
    const url = `${server.url}/models/ocr-line/${first.sha256}/${first.file}`;
    const whole = new Uint8Array(await (await fetch(url)).arrayBuffer());
    const from = first.bytes - 1000;
    const rest = await fetch(url, { headers: { Range: `bytes=${from}-`, 'Accept-Encoding': 'br' } });
    expect(rest.status).toBe(206);
    expect(rest.headers.get('content-range')).toBe(`bytes ${from}-${first.bytes - 1}/${first.bytes}`);
    expect(rest.headers.get('content-encoding')).toBeNull();
    expect(new Uint8Array(await rest.arrayBuffer())).toEqual(whole.slice(from));
    for (const [range, to] of [
      ['bytes=10-19', 20],
      [`bytes=10-${first.bytes + 5}`, first.bytes],
    ] as const) {
      const part = await fetch(url, { headers: { Range: range, 'Accept-Encoding': 'br' } });
      expect([range, part.status]).toEqual([range, 206]);
      expect(part.headers.get('content-range')).toBe(`bytes 10-${to - 1}/${first.bytes}`);
      expect(new Uint8Array(await part.arrayBuffer())).toEqual(whole.slice(10, to));
    }
    for (const range of [
      `bytes=${first.bytes}-`,
      'bytes=-5',
      'bytes=5-1',
      'bytes=1-5,7-9',
      'lines=1-',
      'bytes=99999999999999999-',
    ]) {
      const response = await fetch(url, { headers: { Range: range } });
      expect([range, response.status]).toEqual([range, 200]);
      expect((await response.arrayBuffer()).byteLength).toBe(first.bytes);
    }
  });

  test('does not serve the full-precision segments, nor anything outside the plan', async () => {
    for (const path of [plan.segments[0]?.server.sha256, '0'.repeat(64), '..%2f..%2fetc%2fpasswd']) {
      const response = await fetch(`${server.url}/models/ocr-line/${path}/1.server.onnx`);
      expect(response.status).toBe(404);
      expect(await response.json()).toMatchObject({ error: 'NOT_FOUND' });
    }
    expect((await fetch(`${server.url}/models/nope/plan.json`)).status).toBe(404);
  });

  test('lets no other page’s scripts in unless configured', async () => {
    const response = await fetch(`${server.url}/models`, { headers: { Origin: 'https://elsewhere.example' } });
    expect(response.headers.get('access-control-allow-origin')).toBeNull();
  });

  test('tells Prometheus what an operator asks for', async () => {
    const peer = await welcomed();
    const { message, part } = features();
    send(peer, message, [part]);
    await expectType(peer, 'result');
    const text = await (await fetch(`${server.url}/metrics`)).text();
    expect(text).toMatch(/^tandem_requests_total\{model="ocr-line",k="3",tier="q4",outcome="ok"\} [1-9]/m);
    for (const stage of ['queue', 'decode', 'compute', 'total']) {
      expect(text).toContain(`tandem_request_stage_seconds_count{model="ocr-line",k="3",stage="${stage}"}`);
    }
    for (const name of ['tandem_queue_depth 0', 'tandem_inflight_requests 0', 'tandem_ready 1']) {
      expect(text).toContain(name);
    }
    peer.close();
  });
});

describe('over a real socket, with the real model, the gateway', () => {
  test('answers a boundary with indices and probabilities', async () => {
    const peer = await welcomed();
    const { message, part } = features();
    send(peer, message, [part]);
    const { message: result, parts } = await expectType(peer, 'result');
    expect(result.shapes).toEqual([
      [1, 20],
      [1, 20],
    ]);
    expect(parts.map(({ length }) => length)).toEqual([80, 80]);
    expect(result.timing.computeMs).toBeGreaterThan(0);
    peer.close();
  });

  test('says what is wrong with a payload, and the connection lives', async () => {
    const peer = await welcomed();
    const { message, part } = features();
    send(peer, { ...message, id: 1, parts: [part.length - 1] }, [part.subarray(1)]);
    expect((await expectType(peer, 'error')).message).toMatchObject({ id: 1, code: 'BAD_PAYLOAD' });
    send(peer, { ...message, id: 2, parts: [1] }, [Uint8Array.of(7)]);
    expect((await expectType(peer, 'error')).message).toMatchObject({ id: 2, code: 'BAD_PAYLOAD' });
    send(peer, { ...message, id: 3, k: 0, label: 'public', tier: 'webp-80', shapes: [[1, 3, 48, 160]], parts: [4] }, [
      Uint8Array.of(1, 2, 3, 4),
    ]);
    expect((await expectType(peer, 'error')).message).toMatchObject({ id: 3, code: 'BAD_PAYLOAD' });
    send(peer, message, [part]);
    await expectType(peer, 'result');
    peer.close();
  });

  test('refuses what policy forbids, whatever the client thinks of it', async () => {
    const peer = await welcomed();
    for (const [k, shape] of [
      [0, [1, 3, 48, 160]],
      [1, [1, 240, 12, 40]],
      [2, [1, 240, 6, 40]],
    ] as const) {
      sendInfer(peer, { plan: plan.id, k, tier: k === 0 ? 'webp-80' : 'q4', label: 'personal', shapes: [[...shape]] });
      expect((await expectType(peer, 'error')).message.code).toBe('POLICY_DENIED');
    }
    const { message, part } = features({ label: 'secret' });
    send(peer, message, [part]);
    expect((await expectType(peer, 'error')).message.code).toBe('POLICY_DENIED');
    peer.close();
  });

  test('closes on a truncated and on an oversized frame, and serves the next client', async () => {
    const truncated = await welcomed();
    const { message, part } = features();
    truncated.sendBytes(encodeFrame(message, [part]).subarray(0, 100));
    expect((await truncated.closed).code).toBe(4400);
    const oversized = await welcomed();
    oversized.sendBytes(new Uint8Array(2 * 1024 * 1024));
    expect((await oversized.closed).code).toBe(1009);
    const peer = await welcomed();
    send(peer, message, [part]);
    await expectType(peer, 'result');
    peer.close();
  });

  test('keeps its event loop free while it computes', async () => {
    const peer = await welcomed();
    // The widest lines, and nearly as many as may be under way.
    const part = new Uint8Array(1 + (480 * 160) / 2);
    const shapes = [[1, 480, 1, 160]];
    for (let id = 1; id <= 30; id++) send(peer, features({ id, shapes, parts: [part.length] }).message, [part]);
    let workMs = 0;
    let isDone = false;
    const results = (async () => {
      for (let id = 1; id <= 30; id++) {
        const { timing } = (await expectType(peer, 'result')).message;
        workMs += timing.decodeMs + timing.computeMs;
      }
      isDone = true;
    })();
    const askedMs: number[] = [];
    while (!isDone) {
      const asked = performance.now();
      await fetch(`${server.url}/healthz`);
      askedMs.push(performance.now() - asked);
    }
    await results;
    // Inference on the event loop would hold it, and one of these, for the whole batch.
    expect(Math.max(...askedMs)).toBeLessThan(workMs / 2);
    peer.close();
  });
});

test('on SIGTERM the gateway says goodbye, answers what is under way, and ends with 0', async () => {
  const own = await startServer({ logRequests: true });
  const peer = await welcomed(own);
  const { part } = features();
  const trace = `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`;
  for (let id = 1; id <= 5; id++) send(peer, features({ id, trace }).message, [part]);
  send(peer, { type: 'ping', id: 6, usage: [] });
  const seen: string[] = [];
  while (!seen.includes('pong')) seen.push((await peer.next()).message.type);
  own.child.kill('SIGTERM');
  while (seen.filter((type) => type === 'result').length < 5) seen.push((await peer.next()).message.type);
  expect(seen).not.toContain('error');
  expect((await peer.closed).code).toBe(1001);
  expect(await own.exited).toBe(0);
  // And has logged each with its trace context.
  const lines = own
    .log()
    .split('\n')
    .filter((line) => line.startsWith('{'));
  expect(lines).toHaveLength(5);
  expect(JSON.parse(lines[0] ?? '')).toMatchObject({ model: 'ocr-line', k: '3', tier: 'q4', outcome: 'ok', trace });
});

/** Requests that take it a while, of which the first has been answered. */
async function keepBusy(own: ServerProcess): Promise<void> {
  const peer = await welcomed(own);
  const part = new Uint8Array(1 + (480 * 160) / 2);
  for (let id = 1; id <= 30; id++) {
    send(peer, features({ id, shapes: [[1, 480, 1, 160]], parts: [part.length] }).message, [part]);
  }
  await expectType(peer, 'result');
}

test('a gateway that goes away keeps no connection for a next request, which would be lost with it', async () => {
  const own = await startServer({ workers: 1 });
  await keepBusy(own);
  const ready = async () => {
    const { status, headers } = await fetch(`${own.url}/readyz`);
    return [status, headers.get('connection')];
  };
  expect(await ready()).toEqual([200, 'keep-alive']);
  own.child.kill('SIGTERM');
  await expect.poll(() => own.log()).toContain('draining');
  expect(await ready()).toEqual([503, 'close']);
  expect(await own.exited).toBe(0);
});

test.each([
  ['longer than proxies do that give up theirs after a minute or two', {}, 125],
  ['for as long as it is told to', { keepAliveMs: 620_000 }, 620],
])('keeps a connection that is not in use %s', async (_, changes, seconds) => {
  const own = await startServer({ workers: 1, ...changes });
  const { headers } = await fetch(`${own.url}/healthz`);
  expect(headers.get('keep-alive')).toBe(`timeout=${seconds}`);
  await own.kill();
});

test('a connection over HTTP on which nothing moves is cut', async () => {
  const own = await startServer({ workers: 1, keepAliveMs: 1000 });
  const socket = createConnection(Number(new URL(own.url).port), '127.0.0.1').resume();
  await once(socket, 'close');
  await own.kill();
});

test('a gateway that is going away ends at once with the second signal, also where that is another', async () => {
  const own = await startServer({ workers: 1, drainMs: 60_000 });
  await keepBusy(own);
  own.child.kill('SIGTERM');
  await expect.poll(() => own.log()).toContain('draining');
  own.child.kill('SIGINT');
  expect(await own.exited).toBe(null);
});

test('an environment that is empty says nothing, and an address of IPv6 is one that can be asked', async () => {
  const empty = { TANDEM_HOST: '', TANDEM_PORT: '', PORT: '', TANDEM_RECEIPT_KEY: '' };
  for (const [environment, hostname] of [
    [empty, '127.0.0.1'],
    [{ TANDEM_HOST: '::1' }, '[::1]'],
  ] as const) {
    const own = await startServer({}, environment);
    expect(new URL(own.url).hostname).toBe(hostname);
    expect((await fetch(`${own.url}/readyz`)).status).toBe(200);
    await own.kill();
  }
});

test('goes on, and drains, where nobody reads its log any more', async () => {
  const own = await startServer({ logRequests: true });
  own.child.stderr?.destroy();
  const peer = await welcomed(own);
  for (let id = 1; id <= 3; id++) {
    const { message, part } = features({ id });
    send(peer, message, [part]);
    await expectType(peer, 'result');
  }
  own.child.kill('SIGTERM');
  expect((await peer.closed).code).toBe(1001);
  expect(await own.exited).toBe(0);
});

test('serves, and drains, where a full disk takes nothing of what it says', async () => {
  const config = join(await temporaryFolder(), 'tandem.json');
  const { origin, port } = await freePort();
  await writeFile(
    config,
    JSON.stringify({ port: Number(port), bundles: [BUNDLE_DIR], policy: { labels: { public: 'input' } } }),
  );
  const script = 'exec "$0" "$1" serve --config "$2" >/dev/full 2>/dev/full';
  const child = spawn('sh', ['-c', script, process.execPath, TANDEM, config], { stdio: 'ignore' });
  const exited = once(child, 'close');
  const status = () => fetch(`${origin}/readyz`).then((response) => response.status, String);
  await expect.poll(status, { timeout: 20_000 }).toBe(200);
  child.kill('SIGTERM');
  expect((await exited)[0]).toBe(0);
});

test('signs what it received with the key that it was given, and keeps the audit log that it was told to', async () => {
  const folder = await temporaryFolder();
  const [keyFile, auditLog] = [join(folder, 'key.pem'), join(folder, 'audit.jsonl')];
  const { privateKey } = generateKeyPairSync('ed25519');
  await writeFile(keyFile, privateKey.export({ type: 'pkcs8', format: 'pem' }));
  const labels = { public: 'input', personal: 'p2o.AveragePool.1', quiet: { from: 'input', retain: false } };
  const own = await startServer({
    ...{ receiptKey: keyFile, auditLog, region: 'eu', policy: { labels } },
    credentials: { anonymous: { labels: Object.keys(labels) } },
  });
  const { key } = (await (await fetch(`${own.url}/.well-known/tandem-receipt-key`)).json()) as { key: string };
  const { x = '' } = privateKey.export({ format: 'jwk' });
  expect(key).toBe(Buffer.from(x, 'base64url').toString('base64'));
  const peer = await connectSocket(`${own.url.replace('http', 'ws')}/ws`);
  send(peer, { type: 'hello', client: 'test', token: null, receipts: true });
  expect((await expectType(peer, 'welcome')).message).toMatchObject({ receiptKey: key, region: 'eu' });
  for (const label of ['quiet', 'personal']) {
    const { message, part } = features({ label });
    send(peer, message, [part]);
    const { receipt } = (await expectType(peer, 'result')).message;
    if (!receipt) throw new Error('there is no receipt');
    expect(await verifyReceipt({ ...receipt, key }, key)).toMatchObject({
      label,
      k: 3,
      bytes: part.length,
      retained: label !== 'quiet',
    });
  }
  sendInfer(peer, { plan: plan.id, k: 0, tier: 'webp-80', label: 'personal', shapes: [[1, 3, 48, 160]] });
  const refused = (await expectType(peer, 'error')).message;
  expect(refused.code).toBe('POLICY_DENIED');
  const receipt = await verifyReceipt({ text: '', signature: '', ...refused.receipt, key }, key);
  expect(receipt).toMatchObject({ k: 0, computed: 'no', disclosed: [], retained: true });
  peer.close();
  own.child.kill('SIGTERM');
  expect(await own.exited).toBe(0);
  const lines = (await readFile(auditLog, 'utf8')).trim().split('\n');
  expect(lines.map((line) => JSON.parse(line))).toMatchObject([
    { label: 'personal', tenant: 'anonymous', boundary: ['p2o.AveragePool.1'], outcome: 'ok' },
    { label: 'personal', outcome: 'policy_denied', denied: 'boundary', receipt: receipt?.id },
  ]);
});
