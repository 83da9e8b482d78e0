import * as v from 'valibot';
import { describe, expect, test } from 'vitest';
import { amount, integer, parseAs, parseJson, text } from '../../shared/parse.ts';
import { tandemError } from './tandem-error.ts';

const Point = v.object({ name: text(4), at: v.array(v.object({ x: integer(0, 9) })), weight: amount });
const parse = (value: unknown) => parseAs(Point, value, 'BAD_CONFIG', 'config.json');

describe('parsing a value', () => {
  test('gives what the schema says, and drops what it does not know', () => {
    const point = { name: 'a', at: [{ x: 9 }], weight: 0 };
    expect(parse({ ...point, extra: 1 })).toEqual(point);
  });

  test.each([
    [{ name: 7, at: [], weight: 0 }, 'config.json: name: expected string, got 7'],
    [{ name: 'a', at: [{ x: 1 }, { x: 10 }], weight: 0 }, 'config.json: at.1.x: expected <=9, got 10'],
    [{ name: 'a', at: [{ x: -1 }], weight: 0 }, 'config.json: at.0.x: expected >=0, got -1'],
    [null, 'config.json: expected Object, got null'],
    [{ at: [], weight: 0 }, 'config.json: name: expected string, got nothing'],
    [{ name: 'a', at: [{ x: 1 }, {}], weight: 0 }, 'config.json: at.1.x: expected number, got nothing'],
    [{ name: 'a', weight: 0, extra: 'undefined' }, 'config.json: at: expected Array, got nothing'],
    [{ name: 'a', at: 'undefined', weight: 0 }, 'config.json: at: expected Array, got "undefined"'],
  ])('says in one line where, what was expected and what came: %j', (value, message) => {
    expect(() => parse(value)).toThrow(tandemError('BAD_CONFIG', message));
    expect(() => parse(value)).not.toThrow(/\n/);
  });

  test('says what a missing key should have been, also where it is one of several, in a union, and of a value that is frozen', () => {
    const kinds = v.variant('type', [
      v.object({ type: v.literal('a'), a: v.literal('a') }),
      v.object({ type: v.literal('b') }),
    ]);
    const schema = v.strictObject({ kinds: v.array(v.union([kinds, text()])), more: v.optional(text()) });
    const told = (value: unknown) => {
      try {
        return parseAs(schema, value, 'BAD_CONFIG', 'c');
      } catch (error) {
        return (error as Error).message;
      }
    };
    const frozen = Object.freeze({ kinds: Object.freeze([Object.freeze({ type: 'a' })]) });
    expect(told(frozen)).toBe('c: kinds.0.a: expected "a", got nothing');
    expect(frozen).toEqual({ kinds: [{ type: 'a' }] });
    expect(told({ kinds: [{}] })).toBe('c: kinds.0.type: expected ("a" | "b"), got nothing');
    expect(told({})).toBe('c: kinds: expected Array, got nothing');
    expect(told({ kinds: [], mroe: 'x' })).toBe('c: mroe: is not known');
  });

  test.each([Number.NaN, Number.POSITIVE_INFINITY, -0.1, '1', null])('an amount is not %s', (weight) => {
    expect(() => parse({ name: 'a', at: [], weight })).toThrow(tandemError('BAD_CONFIG', 'config.json: weight'));
  });

  test.each(['', 'abcde', null])('a text of up to 4 characters is not %j', (name) => {
    expect(() => parse({ name, at: [], weight: 0 })).toThrow(tandemError('BAD_CONFIG', 'config.json: name'));
  });

  test.each([0.5, 2 ** 53, Number.NaN, 1n])('an integer is not %s', (value) => {
    expect(() => parseAs(integer(0), value, 'BAD_INPUT', 'id')).toThrow(tandemError('BAD_INPUT', 'id: '));
  });
});

describe('a place', () => {
  test('may be named by who knows the file', () => {
    const place = (path: readonly string[]) => `config.json:${path.length}: ${path.join('/')}`;
    expect(() => parseAs(Point, { name: 'a', at: [{}], weight: 0 }, 'BAD_CONFIG', place)).toThrow(
      tandemError('BAD_CONFIG', 'config.json:3: at/0/x: expected'),
    );
  });
});

describe('parsing JSON', () => {
  test('gives the value', () => {
    expect(parseJson('{"a":[1]}', 'BAD_PLAN', 'plan.json')).toEqual({ a: [1] });
  });

  test.each(['', '{', '{"a":NaN}', 'undefined'])('refuses %j, naming the file', (json) => {
    expect(() => parseJson(json, 'BAD_PLAN', 'plan.json')).toThrow(tandemError('BAD_PLAN', 'plan.json is no JSON: '));
  });
});
