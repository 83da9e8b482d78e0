import { describe, expect, test } from 'vitest';
import { parseClientMessage } from '../../../shared/protocol/client-messages.ts';
import { PARTS_MAX, RANK_MAX, USAGE_COUNT_MAX } from '../../../shared/protocol/limits.ts';
import type { ClientMessage, ServerMessage } from '../../../shared/protocol/messages.ts';
import { parseServerMessage } from '../../../shared/protocol/server-messages.ts';
import { changed } from '../changed.ts';
import { tandemError } from '../tandem-error.ts';

const PLAN_ID = '0123456789abcdef'.repeat(4);

const client: { [T in ClientMessage['type']]: Extract<ClientMessage, { type: T }> } = {
  hello: { type: 'hello', client: 'tandem 0.1.0', token: 'secret', receipts: true },
  infer: {
    type: 'infer',
    id: 1,
    plan: PLAN_ID,
    k: 2,
    tier: 'q8',
    label: 'public',
    noise: [{ type: 'gaussian', scale: 0.5, clip: 3 }],
    retain: false,
    deadlineMs: 1000,
    trace: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
    shapes: [[1, 4, 2, 8], []],
    parts: [100, 0],
  },
  cancel: { type: 'cancel', id: 2 ** 32 - 1 },
  ping: { type: 'ping', id: 3, usage: [{ plan: PLAN_ID, k: 4, count: 10 }] },
};

const load = { queueDepth: 3, queueMs: 12.5 };
const server: { [T in ServerMessage['type']]: Extract<ServerMessage, { type: T }> } = {
  welcome: {
    type: 'welcome',
    server: 'tandem 0.1.0',
    limits: { frameBytesMax: 1024, inFlightMax: 4, idleTimeoutMs: 60_000 },
    plans: [{ name: 'ocr-line', id: PLAN_ID }],
    tenant: 'clinic',
    region: 'eu',
    labels: [
      {
        label: 'public',
        terms: [{ from: 'h', leakageMax: 0.3, tiers: ['q4'], retain: false, noise: { type: 'laplace', scale: 1 } }],
        networks: { cellular: { from: 'local' } },
      },
    ],
    receiptKey: 'A'.repeat(43).concat('='),
    load,
  },
  result: {
    type: 'result',
    id: 1,
    shapes: [[1, 4]],
    parts: [16],
    timing: { queueMs: 0, decodeMs: 0.5, computeMs: 10, totalMs: 11 },
    receipt: { text: '{}', signature: 'A'.repeat(86).concat('==') },
    load,
  },
  error: {
    ...{ type: 'error', id: 1, code: 'OVERLOADED', message: 'the queue is full', retryAfterMs: 100 },
    receipt: { text: '{}', signature: 'A'.repeat(86).concat('==') },
  },
  pong: { type: 'pong', id: 3, load },
  goaway: { type: 'goaway', graceMs: 5000, reason: 'a new version' },
};

const many = <T>(count: number, value: T): T[] => new Array<T>(count).fill(value);

describe('messages of the client', () => {
  test.each(Object.values(client))('$type is parsed as it is', (message) => {
    expect(parseClientMessage(message)).toEqual(message);
  });

  test('an anonymous hello and an infer without a trace are parsed', () => {
    expect(parseClientMessage({ ...client.hello, token: null })).toMatchObject({ token: null });
    expect(parseClientMessage({ ...client.infer, trace: null })).toMatchObject({ trace: null });
  });

  test('fields that the protocol does not know are left out', () => {
    expect(parseClientMessage({ ...client.cancel, extra: true })).toEqual(client.cancel);
  });

  test.each<[ClientMessage['type'], string, unknown]>([
    ['hello', 'client', ''],
    ['hello', 'client', 'x'.repeat(257)],
    ['hello', 'token', undefined],
    ['hello', 'token', 7],
    ['hello', 'receipts', undefined],
    ['hello', 'token', 'x'.repeat(4097)],
    ['infer', 'id', 0],
    ['infer', 'id', 2 ** 32],
    ['infer', 'id', 1.5],
    ['infer', 'id', 1n],
    ['infer', 'plan', PLAN_ID.toUpperCase()],
    ['infer', 'plan', PLAN_ID.slice(1)],
    ['infer', 'k', -1],
    ['infer', 'k', 65],
    ['infer', 'k', Number.NaN],
    ['infer', 'tier', ''],
    ['infer', 'tier', 'x'.repeat(33)],
    ['infer', 'label', null],
    ['infer', 'label', 'x'.repeat(65)],
    ['infer', 'noise', many(4, { type: 'dropout', scale: 0.5 })],
    ['infer', 'noise.0.scale', -1],
    ['infer', 'noise.0.type', 'pink'],
    ['infer', 'retain', undefined],
    ['infer', 'deadlineMs', 0],
    ['infer', 'deadlineMs', 120_001],
    ['infer', 'trace', ''],
    ['infer', 'trace', 'x'.repeat(129)],
    ['infer', 'shapes', { length: 0 }],
    ['infer', 'shapes', many(PARTS_MAX + 1, [1])],
    ['infer', 'shapes.1', many(RANK_MAX + 1, 1)],
    ['infer', 'shapes.0.3', -1],
    ['infer', 'shapes.0.3', 2 ** 31],
    ['infer', 'parts', many(PARTS_MAX + 1, 0)],
    ['infer', 'parts.1', 0.5],
    ['infer', 'parts.1', '1'],
    ['cancel', 'id', undefined],
    ['cancel', 'id', '1'],
    ['ping', 'id', -1],
    ['ping', 'usage', null],
    ['ping', 'usage', many(65, client.ping.usage[0])],
    ['ping', 'usage.0.plan', ''],
    ['ping', 'usage.0.k', 65],
    ['ping', 'usage.0.count', 0],
    ['ping', 'usage.0.count', USAGE_COUNT_MAX + 1],
  ])('%s with a bad %s is refused, naming it: %o', (type, path, value) => {
    expect(() => parseClientMessage(changed(client[type], path, value))).toThrow(
      tandemError('BAD_MESSAGE', `message from the client: ${path}: `),
    );
  });
});

describe('messages of the server', () => {
  test.each(Object.values(server))('$type is parsed as it is', (message) => {
    expect(parseServerMessage(message)).toEqual(message);
  });

  test('an error of the connection, with no time to come back and no receipt, is parsed', () => {
    const error = { ...server.error, id: null, retryAfterMs: null, receipt: null };
    expect(parseServerMessage(error)).toEqual(error);
  });

  test('an error of an earlier gateway, which signs results alone, is one without a receipt', () => {
    const { receipt: _new, ...error } = server.error;
    expect(parseServerMessage(error)).toEqual({ ...error, receipt: null });
  });

  test.each<[ServerMessage['type'], string, unknown]>([
    ['welcome', 'server', ''],
    ['welcome', 'limits', null],
    ['welcome', 'limits.frameBytesMax', 0],
    ['welcome', 'limits.inFlightMax', 0.5],
    ['welcome', 'limits.idleTimeoutMs', '60000'],
    ['welcome', 'plans.0.name', ''],
    ['welcome', 'plans.0.id', 'ab'],
    ['welcome', 'labels.0.label', 'x'.repeat(65)],
    ['welcome', 'labels.0.terms', []],
    ['welcome', 'labels.0.terms.0.from', ''],
    ['welcome', 'labels.0.terms.0.leakageMax', 1.1],
    ['welcome', 'labels.0.terms.0.tiers', []],
    ['welcome', 'labels.0.terms.0.noise.scale', 0],
    ['welcome', 'labels.0.networks.cellular.from', 7],
    ['welcome', 'labels', many(257, server.welcome.labels[0])],
    ['welcome', 'labels.0.terms.0.daysMax', 3],
    ['welcome', 'labels.0.networks.satellite', { from: 'local' }],
    ['welcome', 'tenant', ''],
    ['welcome', 'region', ''],
    ['welcome', 'receiptKey', 'AA=='],
    ['welcome', 'load.queueDepth', -1],
    ['welcome', 'load.queueMs', Number.POSITIVE_INFINITY],
    ['result', 'id', 0],
    ['result', 'shapes.0.0', -1],
    ['result', 'parts.0', -1],
    ['result', 'timing', undefined],
    ['result', 'timing.queueMs', -1],
    ['result', 'timing.decodeMs', Number.NaN],
    ['result', 'timing.computeMs', null],
    ['result', 'timing.totalMs', 1n],
    ['result', 'receipt', undefined],
    ['result', 'receipt.text', ''],
    ['result', 'receipt.text', 'x'.repeat(16_385)],
    ['result', 'receipt.signature', 'AA=='],
    ['result', 'load.queueMs', -0.5],
    ['error', 'id', 0],
    ['error', 'message', ''],
    ['error', 'message', 'x'.repeat(1025)],
    ['error', 'retryAfterMs', -1],
    ['error', 'receipt.signature', 'AA=='],
    ['pong', 'id', null],
    ['pong', 'load', null],
    ['goaway', 'graceMs', -1],
    ['goaway', 'reason', ''],
  ])('%s with a bad %s is refused, naming it: %o', (type, path, value) => {
    expect(() => parseServerMessage(changed(server[type], path, value))).toThrow(
      tandemError('BAD_MESSAGE', `message from the server: ${path}: `),
    );
  });

  test('an error of a code that nobody knows is refused with what was expected', () => {
    expect(() => parseServerMessage({ ...server.error, code: 'NO_SUCH_CODE' })).toThrow(
      tandemError('BAD_MESSAGE', 'code: expected a code of the error table'),
    );
  });

  test.each(['NO_SUCH_CODE', 'toString', '__proto__', 4400, null])('an error of code %s is refused', (code) => {
    expect(() => parseServerMessage({ ...server.error, code })).toThrow(tandemError('BAD_MESSAGE', 'server: code: '));
  });
});

describe('a header that is no message', () => {
  test.each([
    ['null', null],
    ['a number', 7],
    ['a list', [client.ping]],
    ['a map without a type', { id: 1 }],
    ['a type that is unknown', { type: 'toString' }],
    ['a type that is no string', { ...client.ping, type: 7 }],
  ])('is refused with BAD_MESSAGE: %s', (_, header) => {
    expect(() => parseClientMessage(header)).toThrow(tandemError('BAD_MESSAGE', 'message from the client: '));
    expect(() => parseServerMessage(header)).toThrow(tandemError('BAD_MESSAGE', 'message from the server: '));
  });

  test('is refused where it speaks from the other side', () => {
    for (const message of Object.values(server)) {
      expect(() => parseClientMessage(message)).toThrow(tandemError('BAD_MESSAGE', ': type: '));
    }
    for (const message of Object.values(client)) {
      expect(() => parseServerMessage(message)).toThrow(tandemError('BAD_MESSAGE', ': type: '));
    }
  });
});
