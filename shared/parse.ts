/** The one way from `unknown` to a typed value: a schema, or a TandemError that says where and what was wrong. */
import * as v from 'valibot';
import { type ErrorCode, TandemError } from './errors.ts';

/** What came may be long: only its beginning is told. */
const REASON_LENGTH_MAX = 300;

/** Names a place in a value that came from a file: `tandem.json:14: policy.labels`. */
export type Place = (path: readonly string[]) => string;

/** @param what the value's name, or what names its places */
export function placeIn(what: string | Place, path: readonly string[]): string {
  if (typeof what === 'function') return what(path);
  return path.length === 0 ? what : `${what}: ${path.join('.')}`;
}

/**
 * @param what how to name the value in the error: a file, a message, or what names its places
 * @throws `code` with one line: what, the path inside it, what was expected and what came
 */
export function parseAs<const S extends v.GenericSchema>(
  schema: S,
  value: unknown,
  code: ErrorCode,
  what: string | Place,
): v.InferOutput<S> {
  const result = v.safeParse(schema, value, { abortEarly: true });
  if (result.success) return result.output;
  const { issue, path } = furthest(result.issues[0]);
  const expected =
    issue.expected === 'never'
      ? 'is no key that is known here'
      : issue.expected
        ? `expected ${issue.expected}, got ${issue.received}`
        : issue.message;
  throw new TandemError(code, `${placeIn(what, path)}: ${expected.slice(0, REASON_LENGTH_MAX)}`);
}

/** Where no alternative of a union fits, what is wrong within one of them says more than that none does. */
function furthest(issue: v.BaseIssue<unknown>, above: string[] = []): { issue: v.BaseIssue<unknown>; path: string[] } {
  const path = [...above, ...(issue.path ?? []).map(({ key }) => String(key))];
  const within = issue.issues?.map((inner) => furthest(inner, path)).find((told) => told.path.length > path.length);
  return within ?? { issue, path };
}

/** JSON text -> unknown. Throws `code` naming `what` where it is no JSON. */
export function parseJson(text: string, code: ErrorCode, what: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new TandemError(code, `${what} is no JSON: ${(error as Error).message}`, { cause: error });
  }
}

export const finite = v.pipe(v.number(), v.finite());
/** A finite number of 0 or more. */
export const amount = v.pipe(finite, v.minValue(0));
/** From 0 to 1. */
export const share = v.pipe(v.number(), v.minValue(0), v.maxValue(1));
/** A SHA-256 in lower-case hex. */
export const sha256 = v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/));
/** An integer of at least `min`. */
export const integer = (min: number, max = Number.MAX_SAFE_INTEGER) =>
  v.pipe(v.number(), v.integer(), v.minValue(min), v.maxValue(max));
/** A non-empty string of at most `max` characters. */
export const text = (max = 256) => v.pipe(v.string(), v.minLength(1), v.maxLength(max));
