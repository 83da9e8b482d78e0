/** Where in a JSON text a value stands, so that an error can name the line to look at. */

import type { Place } from './parse.ts';

/** A text's tokens, strings whole; white space falls between them. */
const TOKEN = /"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s{}[\],:"]+/g;

/** Names places in the value of a file: `tandem.json:14: policy.labels`. */
export function placesIn(file: string, json: string): Place {
  return (path) => {
    const line = `${file}:${lineOf(json, path)}`;
    return path.length === 0 ? line : `${line}: ${path.join('.')}`;
  };
}

/**
 * The line, from 1, of the key or the element at the end of the path; of the deepest that is there, where the path goes on
 * beyond. Of two keys of one name the later counts, as JSON.parse has it.
 * @param json text that JSON.parse takes
 * @param path keys, and indexes as texts
 */
export function lineOf(json: string, path: readonly string[]): number {
  const tokens = [...json.matchAll(TOKEN)];
  let found = tokens[0]?.index ?? 0;
  let depthFound = 0;
  let at = 0;
  /** @param depth how much of the path leads to this value; -1 where it lies elsewhere */
  const value = (depth: number): void => {
    const open = tokens[at++]?.[0];
    if (open !== '{' && open !== '[') return;
    for (let index = 0; at < tokens.length && !/^[}\]]$/.test(tokens[at]?.[0] ?? ''); index++) {
      const token = tokens[at] as RegExpExecArray;
      const name = open === '{' ? (JSON.parse(token[0]) as string) : String(index);
      const isNext = depth >= 0 && path[depth] === name;
      if (isNext && depth + 1 >= depthFound) [found, depthFound] = [token.index, depth + 1];
      // A key and its colon.
      if (open === '{') at += 2;
      value(isNext ? depth + 1 : -1);
      if (tokens[at]?.[0] === ',') at++;
    }
    at++;
  };
  value(0);
  return json.slice(0, found).split('\n').length;
}

/** One token of RFC 8259 after white space: a string, a number or a word, or what stands between. */
const LEXEME =
  /[ \t\r\n]*(?:("(?:[^"\\\p{Cc}]|\x7f|[\x80-\x9f]|\\(?:["\\/bfnrt]|u[\da-fA-F]{4}))*")|(-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null)|([{}[\],:]))/uy;

/** The line, from 1, on which a text stops being JSON; null for one that is JSON. Engines name characters, or nothing at all. */
export function lineOfSyntaxError(json: string): number | null {
  let at = 0;
  /** Moves past the next token, if it is one of these: its own mark, `text` for strings, `scalar` for numbers and words. */
  const take = (...expected: readonly string[]): string | null => {
    LEXEME.lastIndex = at;
    const [, text, scalar, mark = 'nothing'] = LEXEME.exec(json) ?? [];
    const kind = text !== undefined ? 'text' : scalar !== undefined ? 'scalar' : mark;
    if (!expected.includes(kind)) return null;
    at = LEXEME.lastIndex;
    return kind;
  };
  const list = (close: string, member: () => boolean): boolean => {
    if (take(close)) return true;
    while (member()) {
      if (take(close)) return true;
      if (!take(',')) return false;
    }
    return false;
  };
  const value = (): boolean => {
    const kind = take('text', 'scalar', '{', '[');
    if (kind === '{') return list('}', () => take('text') !== null && take(':') !== null && value());
    return kind === '[' ? list(']', value) : kind !== null;
  };
  if (value() && /^[ \t\r\n]*$/.test(json.slice(at))) return null;
  // What is wrong stands behind the white space.
  const rest = json.slice(at);
  return json.slice(0, at + rest.length - rest.trimStart().length).split('\n').length;
}
