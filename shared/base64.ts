/** Bytes in a JSON string: RFC 4648 base64 with padding, the same on every host. */

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
const VALUES = new Map([...ALPHABET].map((letter, value) => [letter, value]));

export function toBase64(bytes: Uint8Array): string {
  const letters: string[] = [];
  for (let i = 0; i < bytes.length; i += 3) {
    const word = ((bytes[i] as number) << 16) | ((bytes[i + 1] ?? 0) << 8) | (bytes[i + 2] ?? 0);
    const shifts = [18, 12, 6, 0].slice(0, 1 + Math.min(3, bytes.length - i));
    letters.push(...shifts.map((shift) => ALPHABET[(word >> shift) & 63] as string));
  }
  return letters.join('').padEnd(Math.ceil(bytes.length / 3) * 4, '=');
}

/** Whether a text is what `toBase64` gives for some bytes: no other letters, no stray bits. */
export function isBase64(text: string): boolean {
  return /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/][AQgw]==|[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=)?$/.test(text);
}

/** @param text checked by `isBase64` */
export function fromBase64(text: string): Uint8Array {
  const bytes = new Uint8Array((text.length / 4) * 3 - (/=*$/.exec(text)?.[0].length ?? 0));
  for (let i = 0, at = 0; i < text.length; i += 4) {
    let word = 0;
    for (let j = 0; j < 4; j++) word = (word << 6) | (VALUES.get(text[i + j] as string) ?? 0);
    for (let shift = 16; shift >= 0 && at < bytes.length; shift -= 8) bytes[at++] = (word >> shift) & 255;
  }
  return bytes;
}
