import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { lineOf, lineOfSyntaxError, placesIn } from '../../shared/json-lines.ts';

const JSON_TEXT = `{
  "a": 1, "b": [
    10,
    { "c\\"{": "}\\n,[",
      "d": null }
  ],

  "a.b": { "e": {} },
  "b": [[], {},
    "last"]
}`;

describe('the line of a place', () => {
  test.each([
    [[], 1],
    [['a'], 2],
    [['a.b'], 8],
    [['a.b', 'e'], 8],
    [['b'], 9],
    [['b', '1'], 9],
    [['b', '2'], 10],
  ])('%j is %i', (path, line) => {
    expect(lineOf(JSON_TEXT, path)).toBe(line);
  });

  test('is that of the deepest place that is there, where the path goes on', () => {
    expect(lineOf(JSON_TEXT, ['a.b', 'gone', 'further'])).toBe(8);
    expect(lineOf(JSON_TEXT, ['gone'])).toBe(1);
    expect(lineOf(JSON_TEXT, ['a', '0'])).toBe(2);
  });

  test('is named with the file and the path', () => {
    const place = placesIn('tandem.json', JSON_TEXT);
    expect(place(['a.b', 'e'])).toBe('tandem.json:8: a.b.e');
    expect(place([])).toBe('tandem.json:1');
  });

  test('is found in any JSON, however it is laid out', () => {
    const key = fc.string({ maxLength: 6 }).filter((name) => name !== '__proto__');
    const { tree } = fc.letrec((tie) => ({
      tree: fc.oneof(
        { maxDepth: 4 },
        fc.constantFrom(1, 'x', '{"', '\\', null, true, -1.5e9),
        fc.array(tie('tree'), { maxLength: 4 }),
        fc.dictionary(key, tie('tree'), { maxKeys: 4 }),
      ),
    }));
    /** Every path into a value. */
    const pathsOf = (value: unknown): string[][] =>
      typeof value !== 'object' || value === null
        ? [[]]
        : [[], ...Object.entries(value).flatMap(([name, own]) => pathsOf(own).map((path) => [name, ...path]))];
    fc.assert(
      fc.property(tree, fc.constantFrom(undefined, 1, '\t'), (value, indent) => {
        const json = JSON.stringify(value, null, indent);
        const lines = json.split('\n');
        for (const path of pathsOf(value)) {
          const line = lines[lineOf(json, path) - 1] ?? '';
          const last = path.at(-1);
          const isIndex = last === undefined || /^\d+$/.test(last);
          if (!isIndex) expect(line).toContain(JSON.stringify(last));
          // Laid out in lines, an element or a key stands as deep as its path is long.
          if (indent !== undefined) expect(/^\s*/.exec(line)?.[0].length).toBe(path.length);
        }
      }),
    );
  });
});

describe('the line of a mistake', () => {
  test.each<[string, number]>([
    ['', 1],
    ['{\n  "a": 1,\n}', 3],
    ['{\n  "a": 1\n  "b": 2\n}', 3],
    ['{\n  // a comment\n  "a": 1\n}', 2],
    ['[\n1,\n02]', 3],
    ["{\n'a': 1}", 2],
    ['{"a":\n\n"an open text\n}', 3],
    ['{"a": 1}\n\n}', 3],
    ['[1', 1],
    ['{"a"\n1}', 2],
    ['["\\x"]', 1],
  ])('in %j is %i', (json, line) => {
    expect(lineOfSyntaxError(json)).toBe(line);
  });

  test('is there exactly where JSON.parse finds one', () => {
    const marks = ['{', '}', '[', ']', ',', ':', ' ', '\n', '"', '\\'];
    const values = ['"a"', '"\\n"', '"\u007f\u0080\ud800"', '"\t"', '1', '-0.5e+3', '01', '.5', 'null', 'nul'];
    const texts = fc.oneof(
      fc.array(fc.constantFrom(...marks, ...values), { maxLength: 9 }).map((parts) => parts.join('')),
      fc.json(),
    );
    fc.assert(
      fc.property(texts, (json) => {
        let isJson = true;
        try {
          JSON.parse(json);
        } catch {
          isJson = false;
        }
        expect(lineOfSyntaxError(json) === null).toBe(isJson);
      }),
      { numRuns: 3000 },
    );
  });
});
