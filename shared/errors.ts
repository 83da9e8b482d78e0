/**
 * The one error class and the one table of codes. A code is stable: scripts, dashboards and peers match on it; the
 * message is for people and says what was expected, what came, and where. Three kinds exist (conventions, 5): codes
 * with a `close` end the connection that broke the protocol, codes without one fail a single request or a command,
 * and anything that is not a TandemError is our own mistake.
 */

import type { SentBoundary } from './sent-boundary.ts';

interface CodeInfo {
  /** WebSocket close code, for errors that end the connection. */
  readonly close?: number;
  /** Whether the same request may succeed later or elsewhere without being changed. */
  readonly retryable?: boolean;
}

/** Every code, in the order: protocol, request, client, build and command line. */
export const ERROR_CODES = {
  // The peer broke the protocol: the connection is closed.
  BAD_FRAME: { close: 4400 },
  UNAUTHORIZED: { close: 4401 },
  BAD_MESSAGE: { close: 4402 },
  UNEXPECTED_MESSAGE: { close: 4403 },
  UNSUPPORTED_VERSION: { close: 4406 },
  HELLO_TIMEOUT: { close: 4408 },
  DUPLICATE_ID: { close: 4409 },
  FRAME_TOO_LARGE: { close: 4413 },
  SLOW_CONSUMER: { close: 4428, retryable: true },
  IDLE_TIMEOUT: { close: 4430, retryable: true },

  // This request failed: an error reply, and the connection lives.
  UNKNOWN_PLAN: {},
  BAD_BOUNDARY: {},
  UNKNOWN_TIER: {},
  BAD_TENSOR: {},
  BAD_PAYLOAD: {},
  PAYLOAD_TOO_LARGE: {},
  LABEL_NOT_GRANTED: {},
  POLICY_DENIED: {},
  TOO_MANY_REQUESTS: { retryable: true },
  OVERLOADED: { retryable: true },
  DEADLINE_EXCEEDED: {},
  CANCELLED: {},
  DRAINING: { retryable: true },
  INTERNAL: { retryable: true },

  // The client could not do it.
  UNAVAILABLE: { retryable: true },
  BAD_DOWNLOAD: { retryable: true },
  DEVICE_FAILED: {},
  CLOSED: {},

  // Build time and command line.
  USAGE: {},
  BAD_CONFIG: {},
  NOT_FOUND: {},
  UNKNOWN_MODEL: {},
  BAD_MODEL: {},
  BAD_CUT: {},
  BAD_PLAN: {},
  BAD_BUNDLE: {},
  BAD_INPUT: {},
  UNSUPPORTED: {},
  ADDRESS_IN_USE: {},
} as const satisfies Record<string, CodeInfo>;

export type ErrorCode = keyof typeof ERROR_CODES;

export function isErrorCode(value: unknown): value is ErrorCode {
  return typeof value === 'string' && Object.hasOwn(ERROR_CODES, value);
}

/** What the table says of a code, with the defaults filled in. `close` is null where the connection lives. */
export function codeInfo(code: ErrorCode): { close: number | null; retryable: boolean } {
  const info: CodeInfo = ERROR_CODES[code];
  return { close: info.close ?? null, retryable: info.retryable ?? false };
}

export interface TandemErrorOptions {
  readonly cause?: unknown;
  readonly retryAfterMs?: number | undefined;
  readonly sent?: readonly SentBoundary[] | undefined;
}

export class TandemError extends Error {
  override readonly name = 'TandemError';
  readonly code: ErrorCode;
  /** How long to wait before trying again, in milliseconds, where the sender of the error knows. */
  readonly retryAfterMs: number | undefined;

  /** What had left the device for the request that this is the end of; undefined where nothing had, or this is of no request. */
  readonly sent: readonly SentBoundary[] | undefined;

  constructor(code: ErrorCode, message: string, options: TandemErrorOptions = {}) {
    super(message, options);
    this.code = code;
    this.retryAfterMs = options.retryAfterMs;
    this.sent = options.sent;
  }

  get retryable(): boolean {
    return codeInfo(this.code).retryable;
  }
}

/** Whether it is an error of ours, with one of these codes. */
export function hasCode(error: unknown, ...codes: readonly ErrorCode[]): error is TandemError {
  return error instanceof TandemError && codes.includes(error.code);
}

/** `error` itself where it is a TandemError, else one of `code` that keeps it as its cause. */
export function asTandemError(error: unknown, code: ErrorCode, context: string): TandemError {
  if (error instanceof TandemError) return error;
  return new TandemError(code, `${context}: ${messageOf(error)}`, { cause: error });
}

/** One line out of whatever was thrown. */
export function messageOf(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return message.split('\n', 1)[0] ?? '';
}
