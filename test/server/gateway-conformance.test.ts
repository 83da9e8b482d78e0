import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { settle } from '../../client/testkit/fake-clock.ts';
import { ERROR_CODES } from '../../shared/errors.ts';
import { encodeFrame } from '../../shared/protocol/frames.ts';
import { HELLO_TIMEOUT_MS } from '../../shared/protocol/limits.ts';
import type { MessageOf } from '../../shared/protocol/messages.ts';
import { tensorFromBytes } from '../../shared/tensor.ts';
import {
  expectType,
  GatewayHarness,
  inferMessage,
  type Peer,
  send,
  sendInfer,
  type TransportFactory,
} from '../helpers/gateway-harness.ts';
import { memoryTransport, wsTransport } from '../helpers/transports.ts';

/** Every promise of PROTOCOL.md that a client can see, over any transport. */
function describeGateway(name: string, transport: TransportFactory): void {
  describe(`the gateway over ${name}`, () => {
    let harness: GatewayHarness;
    beforeEach(async () => {
      harness = new GatewayHarness();
      await harness.start(transport);
    });
    afterEach(() => harness.stop());

    /** The gateway has worked off what was sent. */
    const quiet = async (peer: Peer) => {
      send(peer, { type: 'ping', id: 999, usage: [] });
      await expectType(peer, 'pong');
    };

    describe('greets', () => {
      test('a client with its plans, its labels with their floors, limits and load', async () => {
        const peer = await harness.connect();
        send(peer, { type: 'hello', client: 'test', token: null, receipts: false });
        const { message } = await expectType(peer, 'welcome');
        expect(message).toEqual({
          type: 'welcome',
          server: 'test',
          limits: { frameBytesMax: 4096, inFlightMax: 3, idleTimeoutMs: 60_000 },
          plans: [{ name: 'small', id: 'a'.repeat(64) }],
          tenant: 'anonymous',
          region: null,
          labels: [
            { label: 'public', terms: [{ from: 'input' }], networks: {} },
            { label: 'personal', terms: [{ from: 'h' }], networks: {} },
            { label: 'secret', terms: [{ from: 'local' }], networks: {} },
          ],
          receiptKey: expect.stringMatching(/^[\w+/]{43}=$/),
          load: { queueDepth: 0, queueMs: 0 },
        });
      });

      test('a client with a token with the labels of that token', async () => {
        const peer = await harness.connect();
        send(peer, { type: 'hello', client: 'test', token: 'sesame', receipts: false });
        const { message } = await expectType(peer, 'welcome');
        expect(message.labels.map(({ label }) => label)).toEqual(['public', 'staff']);
      });
    });

    describe('answers', () => {
      test('a request with the outputs as raw parts, timings and load', async () => {
        const peer = await harness.welcomed();
        sendInfer(peer, { id: 7 });
        await quiet(peer);
        harness.executor.finish([0.5, -1]);
        const { message, parts } = await expectType(peer, 'result');
        expect(message).toMatchObject({ id: 7, shapes: [[1, 2]], parts: [8], timing: { decodeMs: 1, computeMs: 2 } });
        expect(tensorFromBytes('float32', [1, 2], parts[0] as Uint8Array).data).toEqual(Float32Array.of(0.5, -1));
      });

      test('several requests in the order they are done', async () => {
        await harness.stop();
        harness = new GatewayHarness({ concurrency: 2 });
        await harness.start(transport);
        const peer = await harness.welcomed();
        sendInfer(peer, { id: 1 });
        sendInfer(peer, { id: 2 });
        await quiet(peer);
        harness.executor.fail();
        expect((await expectType(peer, 'error')).message.id).toBe(1);
        harness.executor.finish();
        expect((await expectType(peer, 'result')).message.id).toBe(2);
      });

      test('an id again once it was answered', async () => {
        const peer = await harness.welcomed();
        for (let round = 0; round < 2; round++) {
          sendInfer(peer, { id: 5 });
          await quiet(peer);
          harness.executor.finish();
          expect((await expectType(peer, 'result')).message.id).toBe(5);
        }
      });

      test('a ping with the load', async () => {
        const peer = await harness.welcomed();
        sendInfer(peer, { id: 1 });
        sendInfer(peer, { id: 2 });
        send(peer, { type: 'ping', id: 3, usage: [] });
        const { message } = await expectType(peer, 'pong');
        expect(message).toEqual({ type: 'pong', id: 3, load: { queueDepth: 1, queueMs: 0 } });
      });
    });

    describe('ends a connection that', () => {
      const ends = async (peer: Peer, code: keyof typeof ERROR_CODES) => {
        const { message } = await expectType(peer, 'error');
        expect(message).toMatchObject({ id: null, code });
        const { code: closeCode, reason } = await peer.closed;
        expect(closeCode).toBe((ERROR_CODES[code] as { close: number }).close);
        expect(reason).toContain(code);
      };

      test('sends no frame (BAD_FRAME)', async () => {
        const peer = await harness.welcomed();
        peer.sendBytes(Uint8Array.of(0x00, 0x01, 0x02));
        await ends(peer, 'BAD_FRAME');
      });

      test('sends text (BAD_FRAME)', async () => {
        const peer = await harness.welcomed();
        peer.sendBytes('{"type":"ping"}');
        await ends(peer, 'BAD_FRAME');
      });

      test('sends a frame cut short (BAD_FRAME)', async () => {
        const peer = await harness.welcomed();
        peer.sendBytes(encodeFrame(inferMessage(), [new Uint8Array(8)]).subarray(0, -1));
        await ends(peer, 'BAD_FRAME');
      });

      test('speaks another version (UNSUPPORTED_VERSION)', async () => {
        const peer = await harness.connect();
        const frame = encodeFrame({ type: 'hello', client: 'test', token: null, receipts: false });
        frame[1] = 1;
        peer.sendBytes(frame);
        await ends(peer, 'UNSUPPORTED_VERSION');
      });

      test('sends a message that does not exist (BAD_MESSAGE)', async () => {
        const peer = await harness.welcomed();
        peer.sendBytes(encodeFrame({ type: 'shout' } as unknown as MessageOf<'hello'>));
        await ends(peer, 'BAD_MESSAGE');
      });

      test('sends a message of the server (BAD_MESSAGE)', async () => {
        const peer = await harness.welcomed();
        peer.sendBytes(encodeFrame({ type: 'pong', id: 1, load: { queueDepth: 0, queueMs: 0 } }));
        await ends(peer, 'BAD_MESSAGE');
      });

      test('asks before it says hello (UNEXPECTED_MESSAGE)', async () => {
        const peer = await harness.connect();
        sendInfer(peer);
        await ends(peer, 'UNEXPECTED_MESSAGE');
        expect(harness.executor.seen).toEqual([]);
      });

      test('says hello twice (UNEXPECTED_MESSAGE)', async () => {
        const peer = await harness.welcomed();
        send(peer, { type: 'hello', client: 'test', token: null, receipts: false });
        await ends(peer, 'UNEXPECTED_MESSAGE');
      });

      test('has a token that nobody knows (UNAUTHORIZED)', async () => {
        const peer = await harness.connect();
        send(peer, { type: 'hello', client: 'test', token: 'guess', receipts: false });
        await ends(peer, 'UNAUTHORIZED');
      });

      test('says nothing at all (HELLO_TIMEOUT)', async () => {
        const peer = await harness.connect();
        await settle();
        await harness.clock.advance(HELLO_TIMEOUT_MS);
        await ends(peer, 'HELLO_TIMEOUT');
      });

      test('uses an id that has no answer yet (DUPLICATE_ID)', async () => {
        const peer = await harness.welcomed();
        sendInfer(peer, { id: 4 });
        sendInfer(peer, { id: 4 });
        await ends(peer, 'DUPLICATE_ID');
      });

      test('falls silent (IDLE_TIMEOUT), but not while it waits for an answer', async () => {
        const peer = await harness.welcomed();
        sendInfer(peer, { deadlineMs: 120_000 });
        await quiet(peer);
        await harness.clock.advance(60_000);
        harness.executor.finish();
        await expectType(peer, 'result');
        await harness.clock.advance(60_000);
        await ends(peer, 'IDLE_TIMEOUT');
      });
    });

    test('ends a connection that sends a frame over the limit', async () => {
      const peer = await harness.welcomed();
      sendInfer(peer, { parts: [5000] });
      // A WebSocket library sees the length before the frame is whole, and closes with its own code.
      expect([ERROR_CODES.FRAME_TOO_LARGE.close, 1009]).toContain((await peer.closed).code);
      expect(harness.executor.seen).toEqual([]);
    });

    describe('refuses a request, and the connection lives, when', () => {
      const refuses = async (changes: Partial<MessageOf<'infer'>>, code: string, token: string | null = null) => {
        const peer = await harness.welcomed(token);
        sendInfer(peer, { id: 9, ...changes });
        expect((await expectType(peer, 'error')).message).toMatchObject({ id: 9, code });
        await quiet(peer);
        // Refused before anything was decoded.
        expect(harness.executor.seen).toEqual([]);
      };

      test('the plan is another (UNKNOWN_PLAN)', () => refuses({ plan: 'b'.repeat(64) }, 'UNKNOWN_PLAN'));
      test('k is the last boundary (BAD_BOUNDARY)', () => refuses({ k: 2, shapes: [[1, 4]] }, 'BAD_BOUNDARY'));
      test('the tier does not exist there (UNKNOWN_TIER)', () => refuses({ tier: 'webp-80' }, 'UNKNOWN_TIER'));
      test('the shape is not the plan’s (BAD_TENSOR)', () => refuses({ shapes: [[1, 3, 1, 4]] }, 'BAD_TENSOR'));
      test('the size is out of range (BAD_TENSOR)', () => refuses({ shapes: [[1, 2, 1, 17]] }, 'BAD_TENSOR'));
      test('a tensor is missing (BAD_TENSOR)', () => refuses({ shapes: [], parts: [] }, 'BAD_TENSOR'));
      test('the label may not send so shallow a boundary (POLICY_DENIED)', () =>
        refuses({ k: 0, tier: 'webp-80', shapes: [[1, 3, 4, 16]] }, 'POLICY_DENIED'));
      test('the label may send nothing (POLICY_DENIED)', () => refuses({ label: 'secret' }, 'POLICY_DENIED'));
      test('the label is not one of the client’s (LABEL_NOT_GRANTED)', () =>
        refuses({ label: 'staff' }, 'LABEL_NOT_GRANTED'));
      test('the label is not one of the token’s (LABEL_NOT_GRANTED)', () =>
        refuses({ label: 'personal' }, 'LABEL_NOT_GRANTED', 'sesame'));
      test('its payload is larger than any encoder makes it, before it is queued (PAYLOAD_TOO_LARGE)', () =>
        refuses({ parts: [500] }, 'PAYLOAD_TOO_LARGE'));
      test('nobody knows the label (LABEL_NOT_GRANTED)', () => refuses({ label: '__proto__' }, 'LABEL_NOT_GRANTED'));
    });

    describe('tells a request, and the connection lives, that', () => {
      test('its payload cannot be decoded (BAD_PAYLOAD)', async () => {
        const peer = await harness.welcomed();
        sendInfer(peer);
        await quiet(peer);
        harness.executor.fail();
        expect((await expectType(peer, 'error')).message).toMatchObject({ id: 1, code: 'BAD_PAYLOAD' });
        await quiet(peer);
      });

      test('the server failed (INTERNAL), without saying more than one line', async () => {
        const peer = await harness.welcomed();
        sendInfer(peer);
        await quiet(peer);
        harness.executor.fail(new Error('boom\n    at secret/path.ts'));
        const { message } = await expectType(peer, 'error');
        expect(message.code).toBe('INTERNAL');
        expect(message.message).not.toContain('secret');
        await quiet(peer);
      });

      test('its outputs do not fit a frame (PAYLOAD_TOO_LARGE)', async () => {
        const peer = await harness.welcomed();
        sendInfer(peer);
        await quiet(peer);
        harness.executor.finish(new Float32Array(5 * 1024 * 1024));
        expect((await expectType(peer, 'error')).message).toMatchObject({ id: 1, code: 'PAYLOAD_TOO_LARGE' });
        await quiet(peer);
      });

      test('too many are under way (TOO_MANY_REQUESTS)', async () => {
        const peer = await harness.welcomed();
        for (let id = 1; id <= 4; id++) sendInfer(peer, { id });
        expect((await expectType(peer, 'error')).message).toMatchObject({ id: 4, code: 'TOO_MANY_REQUESTS' });
        await quiet(peer);
      });

      test('the queue is full (OVERLOADED), with a hint when to come back', async () => {
        await harness.stop();
        harness = new GatewayHarness({ queueDepthMax: 1 });
        await harness.start(transport);
        const peer = await harness.welcomed();
        for (let id = 1; id <= 3; id++) sendInfer(peer, { id });
        const { message } = await expectType(peer, 'error');
        expect(message).toMatchObject({ id: 3, code: 'OVERLOADED' });
        expect(message.retryAfterMs).not.toBeNull();
        await quiet(peer);
      });

      test('the queue is full and another client has less in it (OVERLOADED)', async () => {
        await harness.stop();
        harness = new GatewayHarness({ queueDepthMax: 2 });
        await harness.start(transport);
        const [greedy, polite] = [await harness.welcomed(), await harness.welcomed()];
        for (let id = 1; id <= 3; id++) sendInfer(greedy, { id });
        await quiet(greedy);
        sendInfer(polite, { id: 1 });
        expect((await expectType(greedy, 'error')).message).toMatchObject({ id: 3, code: 'OVERLOADED' });
        for (const peer of [greedy, greedy, polite]) {
          harness.executor.finish();
          await expectType(peer, 'result');
        }
      });

      test('its deadline passed in the queue (DEADLINE_EXCEEDED)', async () => {
        const peer = await harness.welcomed();
        sendInfer(peer, { id: 1 });
        sendInfer(peer, { id: 2, deadlineMs: 50 });
        await quiet(peer);
        await harness.clock.advance(60);
        expect((await expectType(peer, 'error')).message).toMatchObject({ id: 2, code: 'DEADLINE_EXCEEDED' });
        harness.executor.finish();
        expect((await expectType(peer, 'result')).message.id).toBe(1);
        expect(harness.executor.seen).toHaveLength(1);
      });

      test('it was cancelled while it waited (CANCELLED)', async () => {
        const peer = await harness.welcomed();
        sendInfer(peer, { id: 1 });
        sendInfer(peer, { id: 2 });
        send(peer, { type: 'cancel', id: 2 });
        send(peer, { type: 'cancel', id: 77 });
        expect((await expectType(peer, 'error')).message).toMatchObject({ id: 2, code: 'CANCELLED' });
        harness.executor.finish();
        expect((await expectType(peer, 'result')).message.id).toBe(1);
        expect(harness.executor.seen).toHaveLength(1);
      });

      test('it was cancelled while it ran (CANCELLED), once: its result goes nowhere', async () => {
        const peer = await harness.welcomed();
        sendInfer(peer, { id: 1 });
        send(peer, { type: 'cancel', id: 1 });
        send(peer, { type: 'cancel', id: 1 });
        expect((await expectType(peer, 'error')).message).toMatchObject({ id: 1, code: 'CANCELLED', receipt: null });
        harness.executor.finish();
        // The id is free again, and the worker as well.
        sendInfer(peer, { id: 1 });
        await quiet(peer);
        harness.executor.finish([3]);
        const [y] = (await expectType(peer, 'result')).parts;
        expect(tensorFromBytes('float32', [1, 1], y as Uint8Array).data).toEqual(Float32Array.of(3));
        expect(harness.executor.seen).toHaveLength(2);
      });
    });

    test('drains: says goodbye, answers what is under way, takes nothing new, then closes', async () => {
      const peer = await harness.welcomed();
      sendInfer(peer, { id: 1 });
      await quiet(peer);
      const drained = harness.gateway.drain(5000);
      expect((await expectType(peer, 'goaway')).message).toMatchObject({ graceMs: 5000 });
      sendInfer(peer, { id: 2 });
      expect((await expectType(peer, 'error')).message).toMatchObject({ id: 2, code: 'DRAINING' });
      harness.executor.finish();
      expect((await expectType(peer, 'result')).message.id).toBe(1);
      await drained;
      expect((await peer.closed).code).toBe(1001);
    });

    test('drains no longer than it was given', async () => {
      const peer = await harness.welcomed();
      sendInfer(peer);
      await quiet(peer);
      const drained = harness.gateway.drain(5000);
      await expectType(peer, 'goaway');
      await harness.clock.advance(5000);
      await drained;
      expect((await peer.closed).code).toBe(1001);
    });

    test('forgets what waits when its connection closes', async () => {
      const peer = await harness.welcomed();
      sendInfer(peer, { id: 1 });
      sendInfer(peer, { id: 2 });
      await quiet(peer);
      peer.close();
      await peer.closed;
      const other = await harness.welcomed();
      await quiet(other);
      expect(harness.admission.load.queueDepth).toBe(0);
    });

    test('counts requests by k, tier and outcome, bytes both ways, and what clients report', async () => {
      const peer = await harness.welcomed();
      sendInfer(peer);
      await quiet(peer);
      harness.executor.finish();
      await expectType(peer, 'result');
      sendInfer(peer, { tier: 'made-up' });
      await expectType(peer, 'error');
      const usage = [{ plan: 'a'.repeat(64), k: 2, count: 5 }];
      send(peer, { type: 'ping', id: 1, usage: [...usage, { plan: 'c'.repeat(64), k: 1, count: 9 }] });
      await expectType(peer, 'pong');
      const labels = { model: 'small', k: '1' };
      expect(await harness.metric('tandem_requests_total', { ...labels, tier: 'q8', outcome: 'ok' })).toBe(1);
      expect(await harness.metric('tandem_requests_total', { ...labels, tier: 'none', outcome: 'unknown_tier' })).toBe(
        1,
      );
      const bytes = (direction: string) =>
        harness.metric('tandem_payload_bytes_total', { ...labels, tier: 'q8', direction });
      expect(await bytes('in')).toBe(encodeFrame(inferMessage(), [new Uint8Array(8)]).length);
      expect(await bytes('out')).toBeGreaterThan(0);
      expect(await harness.metric('tandem_client_requests_total', { model: 'small', k: '2' })).toBe(5);
      expect(await harness.metric('tandem_client_requests_total', { model: 'small', k: '1' })).toBe(0);
    });
  });
}

describeGateway('a channel in memory', memoryTransport);
describeGateway('WebSockets', wsTransport);

describe('the gateway', () => {
  test('ends a connection whose client does not read its replies (SLOW_CONSUMER)', async () => {
    const harness = new GatewayHarness();
    const transport = await memoryTransport(harness.gateway);
    const peer = await transport.connect();
    send(peer, { type: 'hello', client: 'test', token: null, receipts: false });
    await expectType(peer, 'welcome');
    peer.far.bufferedBytes = 9 * 1024 * 1024;
    send(peer, { type: 'ping', id: 1, usage: [] });
    expect((await peer.closed).code).toBe(ERROR_CODES.SLOW_CONSUMER.close);
  });

  test('refuses anonymous clients where a token is needed', async () => {
    const { identify } = await import('../../server/credentials.ts');
    expect(() => identify({ anonymous: null, tokens: [] }, null)).toThrow('a token is needed');
  });
});
