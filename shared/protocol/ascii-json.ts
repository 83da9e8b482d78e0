/** JSON as bytes, in ASCII alone: what a page can write before the SDK has come. */
import { bytesOf, lettersOf } from '../letters.ts';

export function writeAsciiJson(value: unknown): Uint8Array<ArrayBuffer> {
  const text = JSON.stringify(value).replace(
    /[\u007f-\uffff]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
  return bytesOf(text);
}

/** Throws a SyntaxError. */
export function readAsciiJson(bytes: Uint8Array): unknown {
  if (bytes.some((byte) => byte > 0x7e)) throw new SyntaxError('expected ASCII alone');
  return JSON.parse(lettersOf(bytes));
}
