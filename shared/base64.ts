/** Bytes in a JSON string: RFC 4648 base64 with padding. */
import { bytesOf, lettersOf } from './letters.ts';

// On every host, which the types of none here know.
declare function btoa(letters: string): string;
declare function atob(text: string): string;

export function toBase64(bytes: Uint8Array): string {
  return btoa(lettersOf(bytes));
}

/** Whether a text is what `toBase64` gives for some bytes: no other letters, no stray bits. */
export function isBase64(text: string): boolean {
  try {
    return btoa(atob(text)) === text;
  } catch {
    return false;
  }
}

/** @param text checked by `isBase64` */
export function fromBase64(text: string): Uint8Array<ArrayBuffer> {
  return bytesOf(atob(text));
}
