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
