import { expect } from 'vitest';
import { type ErrorCode, TandemError } from '../../shared/errors.ts';

/** What `toThrow` and `rejects.toThrow` match: a TandemError of this code whose message holds `part`. */
export function tandemError(code: ErrorCode, part = ''): unknown {
  return expect.objectContaining({ name: 'TandemError', code, message: expect.stringContaining(part) });
}

/** What `action` gives, or null where it threw a TandemError, of `code` if one is named. Anything else that it throws goes through. */
export function orRefusal<T>(action: () => T, code?: ErrorCode): T | null {
  try {
    return action();
  } catch (error) {
    if (error instanceof TandemError && (code === undefined || error.code === code)) return null;
    throw error;
  }
}
