/** JSON as bytes, in ASCII alone: what a page can write before the SDK has come. */

export function writeAsciiJson(value: unknown): Uint8Array<ArrayBuffer> {
  const text = JSON.stringify(value).replace(
    /[\u007f-\uffff]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
  return Uint8Array.from(text, (letter) => letter.charCodeAt(0));
}

/** Throws a SyntaxError. */
export function readAsciiJson(bytes: Uint8Array): unknown {
  if (bytes.some((byte) => byte > 0x7e)) throw new SyntaxError('expected ASCII alone');
  return JSON.parse(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(''));
}
