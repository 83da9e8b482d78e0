/** What a TandemError must look like in `toThrow`: its class, its code, and a part of its message. */
import { expect } from 'vitest';
import type { ErrorCode } from '../../shared/errors.ts';

export function coded(code: ErrorCode, messagePart = ''): unknown {
  return expect.objectContaining({ name: 'TandemError', code, message: expect.stringContaining(messagePart) });
}
