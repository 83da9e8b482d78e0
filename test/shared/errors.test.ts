import { describe, expect, test } from 'vitest';
import {
  asTandemError,
  codeInfo,
  ERROR_CODES,
  type ErrorCode,
  isErrorCode,
  messageOf,
  TandemError,
} from '../../shared/errors.ts';

const codes = Object.keys(ERROR_CODES) as ErrorCode[];

describe('the table of codes', () => {
  test('has close codes that are unique and from 4000 to 4999, which applications may use', () => {
    const closes = codes.map((code) => codeInfo(code).close).filter((close) => close !== null);
    expect(closes.length).toBeGreaterThan(5);
    expect(new Set(closes).size).toBe(closes.length);
    for (const close of closes) {
      expect(close).toBeGreaterThanOrEqual(4000);
      expect(close).toBeLessThanOrEqual(4999);
    }
  });

  test('fills in that a code closes nothing and is not worth another try', () => {
    expect(codeInfo('BAD_TENSOR')).toEqual({ close: null, retryable: false });
    expect(codeInfo('SLOW_CONSUMER')).toEqual({ close: 4428, retryable: true });
  });

  test('knows its own codes and no others', () => {
    expect(codes.every(isErrorCode)).toBe(true);
    expect(['NOPE', 'toString', '__proto__', '', 4400, null, undefined].some(isErrorCode)).toBe(false);
  });
});

describe('a TandemError', () => {
  test('carries its code, its cause and when to come back', () => {
    const cause = new Error('disk full');
    const error = new TandemError('OVERLOADED', 'later', { cause, retryAfterMs: 50 });
    expect(error).toMatchObject({ name: 'TandemError', code: 'OVERLOADED', cause, retryAfterMs: 50, retryable: true });
    expect(error).toBeInstanceOf(Error);
  });

  test('without a cause has none, not an undefined one', () => {
    expect(Object.hasOwn(new TandemError('INTERNAL', 'oh'), 'cause')).toBe(false);
  });
});

describe('making a TandemError of what was thrown', () => {
  test('leaves one that is one already as it is', () => {
    const error = new TandemError('BAD_TENSOR', 'wrong');
    expect(asTandemError(error, 'INTERNAL', 'running')).toBe(error);
  });

  test('keeps anything else as the cause, after the context', () => {
    const cause = new RangeError('too long');
    const error = asTandemError(cause, 'DEVICE_FAILED', 'segment 2');
    expect(error).toMatchObject({ code: 'DEVICE_FAILED', message: 'segment 2: too long', cause });
    expect(asTandemError('plain text', 'INTERNAL', 'worker').message).toBe('worker: plain text');
  });
});

test.each([
  [new Error('first\nsecond'), 'first'],
  ['text\nmore', 'text'],
  [new TandemError('INTERNAL', ''), ''],
  [undefined, 'undefined'],
  [Symbol('s'), 'Symbol(s)'],
  [42, '42'],
])('the message of %o is one line', (thrown, expected) => {
  expect(messageOf(thrown)).toBe(expected);
});
