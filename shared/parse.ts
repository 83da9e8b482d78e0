/** The one way from `unknown` to a typed value: a schema, or a TandemError that says where and what was wrong. */
import * as v from 'valibot';
import { type ErrorCode, TandemError } from './errors.ts';

/** What came may be long: only its beginning is told. */
const REASON_LENGTH_MAX = 300;

interface Told {
  readonly issue: v.BaseIssue<unknown>;
  /** From the value to where it is. */
  readonly steps: readonly v.IssuePathItem[];
}

/** Names a place in a value that came from a file: `tandem.json:14: policy.labels`. */
export type Place = (path: readonly string[]) => string;

/** @param what the value's name, or what names its places */
export function placeIn(what: string | Place, path: readonly string[]): string {
  if (typeof what === 'function') return what(path);
  return path.length === 0 ? what : `${what}: ${path.join('.')}`;
}

export function errorAt(code: ErrorCode, what: string | Place, path: readonly string[], reason: string): TandemError {
  return new TandemError(code, `${placeIn(what, path)}: ${reason}`);
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
  const { issue, steps } = furthest(result.issues[0]);
  const last = steps.at(-1);
  // Of a key that is missing valibot tells the name alone: what it should be shows where it is there, and undefined.
  if (last && !((last.key as PropertyKey) in (last.input as object))) {
    const filled = steps.reduceRight<unknown>(
      (inner, { input, key }) => Object.assign(Array.isArray(input) ? [] : {}, input, { [key as string]: inner }),
      undefined,
    );
    return parseAs(schema, filled, code, what);
  }
  const expected =
    issue.expected === 'never'
      ? 'is not known'
      : issue.expected
        ? `expected ${issue.expected}, got ${issue.received === 'undefined' ? 'nothing' : issue.received}`
        : issue.message;
  const path = steps.map(({ key }) => `${key}`);
  throw errorAt(code, what, path, expected.slice(0, REASON_LENGTH_MAX));
}

/** Where no alternative of a union fits, what is wrong within one of them says more than that none does. */
function furthest(issue: v.BaseIssue<unknown>, above: v.IssuePathItem[] = []): Told {
  const steps = [...above, ...(issue.path ?? [])];
  const within = issue.issues?.map((inner) => furthest(inner, steps)).find((told) => told.steps.length > steps.length);
  return within ?? { issue, steps };
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
export const between = (min: number, max: number) => v.pipe(v.number(), v.minValue(min), v.maxValue(max));
/** From 0 to 1. */
export const share = between(0, 1);
/** A string of this form. */
export const like = (form: RegExp) => v.pipe(v.string(), v.regex(form));
/** A SHA-256 in lower-case hex. */
export const sha256 = like(/^[0-9a-f]{64}$/);
/** An integer of at least `min`. */
export const integer = (min: number, max = Number.MAX_SAFE_INTEGER) =>
  v.pipe(v.number(), v.integer(), v.minValue(min), v.maxValue(max));
/** A non-empty string of at most `max` characters. */
export const text = (max = 256) => v.pipe(v.string(), v.minLength(1), v.maxLength(max));
/** From `min` to `max` of them. */
export const list = <const S extends v.GenericSchema>(item: S, max: number, min = 0) =>
  v.pipe(v.array(item), v.minLength(min), v.maxLength(max));
/** A record with so many entries. */
export const within = <T extends object>(max: number) =>
  v.check<T, string>((record) => Object.keys(record).length <= max, `expected at most ${max} entries`);
