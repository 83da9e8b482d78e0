/** The protocol without a WebSocket, over real HTTP: the same answers and the same refusals. */
import { once } from 'node:events';
import { createConnection, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { HalfReceived } from '../../../server/adapters/half-received.ts';
import { encodeFrame } from '../../../shared/protocol/frames.ts';
import { encodeJsonFrame } from '../../../shared/protocol/json-frame.ts';
import type { MessageOf, ServerMessage } from '../../../shared/protocol/messages.ts';
import { decodeJsonFrame } from '../../../shared/protocol/read-json-frame.ts';
import { expectType, GatewayHarness, inferMessage, sendInfer } from '../../helpers/gateway-harness.ts';
import { FRIENDLY_ORIGIN, httpGateway } from '../../helpers/http-gateway.ts';
import { CONNECTIONS_MAX, memoryTransport } from '../../helpers/transports.ts';

let harness: GatewayHarness;
let http: Awaited<ReturnType<typeof httpGateway>>;
beforeEach(async () => {
  harness = new GatewayHarness();
  http = await httpGateway(harness);
});
afterEach(() => http.stop());

const STAFF = { Authorization: 'Bearer sesame' };

const frameOf = (changes: Partial<MessageOf<'infer'>> = {}) => {
  const message = inferMessage(changes);
  return encodeJsonFrame(
    message,
    message.parts.map((length) => new Uint8Array(length)),
  );
};
const post = (body: BodyInit, init: RequestInit = {}, query = '') =>
  fetch(`${http.url}/infer${query}`, { method: 'POST', body, ...init });

async function answered(response: Response) {
  const { header, parts } = decodeJsonFrame(new Uint8Array(await response.arrayBuffer()));
  return { status: response.status, message: header as ServerMessage, parts };
}

/** Until the executor has been handed so many requests. */
async function begun(count: number): Promise<void> {
  while (harness.executor.seen.length < count) await new Promise((resolve) => setTimeout(resolve, 1));
}

describe('the welcome', () => {
  const welcome = async (headers: Record<string, string> = {}) => {
    const response = await fetch(`${http.url}/welcome`, { headers });
    return { status: response.status, body: (await response.json()) as MessageOf<'welcome'> };
  };

  test('is what a hello over a WebSocket is answered with', async () => {
    await harness.start(memoryTransport);
    const peer = await harness.connect();
    peer.sendBytes(encodeFrame({ type: 'hello', client: 'test', token: null, receipts: true }));
    const { message } = await expectType(peer, 'welcome');
    expect(await welcome()).toEqual({ status: 200, body: message });
  });

  test("is a token's own, and none where the token is not known", async () => {
    const { body } = await welcome(STAFF);
    expect([body.tenant, body.labels.map(({ label }) => label)]).toEqual(['staff', ['public', 'staff']]);
    expect(await welcome({ Authorization: 'Bearer wrong' })).toMatchObject({
      status: 401,
      body: { error: 'UNAUTHORIZED', message: 'the token is not known' },
    });
  });

  test('leaves no connection behind', async () => {
    for (let i = 0; i < 3 * CONNECTIONS_MAX; i++) expect((await welcome()).status).toBe(200);
    await expect.poll(() => harness.metric('tandem_connections')).toBe(0);
  });
});

describe('a request', () => {
  test('is answered as one over a WebSocket is, with a receipt of what came', async () => {
    const work = post(frameOf());
    await begun(1);
    harness.executor.finish([3, 4]);
    const { status, message, parts } = await answered(await work);
    expect(status).toBe(200);
    await harness.start(memoryTransport);
    const peer = await harness.welcomed(null, true);
    sendInfer(peer);
    await begun(2);
    harness.executor.finish([3, 4]);
    const other = await expectType(peer, 'result');
    const { receipt, ...rest } = message as MessageOf<'result'>;
    const { receipt: otherReceipt, ...otherRest } = other.message;
    expect(rest).toEqual(otherRest);
    expect(parts.map((part) => [...part])).toEqual(other.parts.map((part) => [...part]));
    const signed = (text?: string) => ({ ...JSON.parse(text ?? '{}'), id: '', time: '' });
    expect(signed(receipt?.text)).toEqual(signed(otherReceipt?.text));
    expect(harness.executor.seen[0]).toEqual(harness.executor.seen[1]);
  });

  test('has no receipt where none is wanted', async () => {
    const work = post(frameOf(), {}, '?receipts=no');
    await begun(1);
    harness.executor.finish([1]);
    expect((await answered(await work)).message).toMatchObject({ type: 'result', receipt: null });
  });

  test.each<[string, Partial<MessageOf<'infer'>>, number, string]>([
    ['that policy forbids', { label: 'secret' }, 403, 'POLICY_DENIED'],
    ['of a label that is not granted', { label: 'staff' }, 403, 'LABEL_NOT_GRANTED'],
    ['of another plan', { plan: 'b'.repeat(64) }, 409, 'UNKNOWN_PLAN'],
  ])('%s is refused, and nothing is computed', async (_, changes, status, code) => {
    const answer = await answered(await post(frameOf(changes)));
    expect(answer).toMatchObject({ status, message: { type: 'error', id: 1, code } });
    expect(harness.executor.seen).toEqual([]);
    expect((await harness.audited).map(({ outcome }) => outcome)).toEqual([code.toLowerCase()]);
  });

  test('of a label that the token grants is taken', async () => {
    const changes = { label: 'staff', k: 1 };
    const work = post(frameOf(changes), { headers: STAFF });
    await begun(1);
    harness.executor.finish([1]);
    expect((await answered(await work)).status).toBe(200);
  });

  test('that was under way when the gateway began to go away is answered, and its connection is kept for no other', async () => {
    const work = post(frameOf());
    await begun(1);
    const drained = harness.gateway.drain(10_000);
    harness.executor.finish([1]);
    const { status, headers } = await work;
    expect([status, headers.get('connection')]).toEqual([200, 'close']);
    await drained;
  });

  test('that fails says so', async () => {
    const work = post(frameOf());
    await begun(1);
    harness.executor.fail();
    expect(await answered(await work)).toMatchObject({ status: 400, message: { type: 'error', code: 'BAD_PAYLOAD' } });
  });

  test('that its sender gives up is cancelled', async () => {
    const abort = new AbortController();
    const work = post(frameOf(), { signal: abort.signal });
    await begun(1);
    abort.abort();
    await expect(work).rejects.toThrow();
    await expect.poll(() => harness.audited.map(({ outcome }) => outcome)).toEqual(['cancelled']);
  });
});

test.each(['/INFER', '/infer/'])(
  'is at no other path, as %s: what a proxy says of the one holds for all',
  async (path) => {
    expect((await fetch(http.url + path, { method: 'POST', body: frameOf() })).status).toBe(404);
  },
);

test('the longest of the bodies that are not whole is given up, where there is no room for all of them', async () => {
  const small = await httpGateway(harness, CONNECTIONS_MAX, new HalfReceived(9500));
  const asked = (bytes: number) => {
    const socket = createConnection(Number(new URL(small.url).port), '127.0.0.1').resume();
    socket.write(`POST /infer HTTP/1.1\r\nHost: x\r\nContent-Length: 4000\r\n\r\n`);
    socket.write(Buffer.alloc(bytes));
    return socket;
  };
  const [short, long] = [asked(2000), asked(3900)];
  const closed = once(long, 'close');
  const third = asked(2000);
  await closed;
  const finish = async (socket: Socket, bytes: number) => {
    const answer = once(socket, 'data');
    socket.write(Buffer.alloc(bytes));
    expect(String((await answer)[0])).toContain('BAD_FRAME');
    socket.destroy();
  };
  for (const socket of [short, third]) await finish(socket, 2000);
  // Those that were whole keep no room from others.
  for (let i = 0; i < 20; i++) await fetch(`${small.url}/infer`, { method: 'POST', body: new Uint8Array(500) });
  await finish(asked(3900), 100);
  await small.stop();
});

describe('is turned away', () => {
  test.each<[string, BodyInit, number, string]>([
    ['no frame', 'hello', 400, 'BAD_FRAME'],
    ['nothing', '', 400, 'BAD_FRAME'],
    ['a frame in msgpack', new Uint8Array(encodeFrame(inferMessage({ parts: [] }))), 400, 'BAD_FRAME'],
    ['a message that is none', encodeJsonFrame({ type: 'infer' } as never), 400, 'BAD_MESSAGE'],
    ['another message than a request', encodeJsonFrame({ type: 'cancel', id: 1 }, []), 400, 'UNEXPECTED_MESSAGE'],
    ['too much', new Uint8Array(5000), 413, 'FRAME_TOO_LARGE'],
  ])('%s', async (_, body, status, error) => {
    const response = await post(body);
    expect([response.status, await response.json()]).toEqual([status, expect.objectContaining({ error })]);
  });

  test('too much, and is told how much would not be', async () => {
    const { message } = (await (await post(new Uint8Array(5000))).json()) as { message: string };
    expect(message).toBe(`the gateway takes ${harness.limits.frameBytesMax} bytes, the body has 5000`);
  });

  test.each([
    [FRIENDLY_ORIGIN, 403, 'POLICY_DENIED'],
    ['https://evil.example', 403, 'not among'],
  ])('a page of %s: %i %s', async (origin, status, said) => {
    const response = await post(frameOf({ label: 'secret' }), { headers: { Origin: origin } });
    expect(response.status).toBe(status);
    expect(await response.text()).toContain(said);
  });

  test("the gateway's own page is not", async () => {
    const response = await post(frameOf({ label: 'secret' }), { headers: { Origin: http.url } });
    expect((await answered(response)).message).toMatchObject({ code: 'POLICY_DENIED' });
  });

  test('more than so many at the same time, and all of a gateway that is going away', async () => {
    const aborts = new AbortController();
    const many = Array.from({ length: CONNECTIONS_MAX }, () => post(frameOf(), { signal: aborts.signal }));
    for (const one of many) one.catch(() => {});
    await begun(1);
    await expect.poll(async () => (await post(frameOf())).status).toBe(503);
    aborts.abort();
    await expect.poll(async () => (await fetch(`${http.url}/welcome`)).status).toBe(200);
    void harness.gateway.drain(1000);
    const response = await fetch(`${http.url}/welcome`);
    expect([response.status, await response.json()]).toMatchObject([503, { error: 'DRAINING' }]);
  });
});

describe('a connection that is shared or slow', () => {
  test('takes what it has pipelined with it', async () => {
    const frame = frameOf();
    const socket = createConnection(Number(new URL(http.url).port), '127.0.0.1');
    socket.on('error', () => {});
    socket.write(`POST /infer HTTP/1.1\r\nHost: x\r\nContent-Length: ${frame.length}\r\n\r\n`);
    socket.write(frame);
    for (let i = 1; i < CONNECTIONS_MAX; i++) socket.write('GET /welcome HTTP/1.1\r\nHost: x\r\n\r\n');
    await begun(1);
    await expect.poll(() => harness.metric('tandem_connections')).toBe(CONNECTIONS_MAX);
    socket.destroy();
    await expect.poll(() => harness.metric('tandem_connections')).toBe(0);
    expect((await fetch(`${http.url}/welcome`)).status).toBe(200);
  });
});

describe('a connection that reads no answer', () => {
  test('does not keep all places, however much it pipelines', async () => {
    const roomy = await httpGateway(harness, 3 * CONNECTIONS_MAX);
    const frame = frameOf();
    const socket = createConnection(Number(new URL(roomy.url).port), '127.0.0.1').pause();
    socket.write(`POST /infer HTTP/1.1\r\nHost: x\r\nContent-Length: ${frame.length}\r\n\r\n`);
    socket.write(frame);
    socket.write('GET /welcome HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(10 * CONNECTIONS_MAX));
    await begun(1);
    await expect.poll(() => harness.metric('tandem_connections')).toBeGreaterThan(1);
    expect((await fetch(`${roomy.url}/welcome`)).status).toBe(200);
    harness.executor.finish();
    socket.destroy();
    await expect.poll(() => harness.metric('tandem_connections')).toBe(0);
    await roomy.stop();
  });
});

describe('a connection that fills the queue', () => {
  test('is one client, however many exchanges it pipelines: it makes room for another', async () => {
    const small = new GatewayHarness({ queueDepthMax: 2 });
    const own = await httpGateway(small);
    await small.start(memoryTransport);
    const polite = await small.welcomed();
    const socket = createConnection(Number(new URL(own.url).port), '127.0.0.1');
    let said = '';
    socket.on('data', (data) => {
      said += data.toString('latin1');
    });
    const frame = frameOf();
    for (let i = 0; i < 3; i++) {
      socket.write(`POST /infer HTTP/1.1\r\nHost: x\r\nContent-Length: ${frame.length}\r\n\r\n`);
      socket.write(frame);
    }
    await expect.poll(() => small.metric('tandem_queue_depth')).toBe(2);
    sendInfer(polite);
    for (let i = 0; i < 3; i++) {
      await expect.poll(() => small.executor.seen.length).toBe(i + 1);
      small.executor.finish([1]);
    }
    await expectType(polite, 'result');
    await expect.poll(() => said.match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 200', 'HTTP/1.1 200', 'HTTP/1.1 503']);
    socket.destroy();
    await small.stop();
    await own.stop();
  });
});

describe('what is wrong with a request over HTTP', () => {
  test('is said to be the caller’s: a path that is no UTF-8, a body that is compressed', async () => {
    const path = await fetch(`${http.url}/models/%E0%A4%A/plan.json`);
    expect([path.status, await path.json()]).toMatchObject([400, { error: 'BAD_MESSAGE' }]);
    const body = await post('x', { headers: { 'Content-Encoding': 'gzip' } });
    expect([body.status, await body.json()]).toMatchObject([415, { error: 'BAD_MESSAGE' }]);
  });

  test('is no range of HEAD, which knows none (RFC 9110, 14.2)', async () => {
    const url = `${http.url}/models/${harness.plan.name}/plan.json`;
    expect((await fetch(url, { method: 'HEAD', headers: { Range: 'bytes=3-' } })).status).toBe(200);
    expect((await fetch(url, { headers: { Range: 'bytes=3-' } })).status).toBe(206);
  });
});
