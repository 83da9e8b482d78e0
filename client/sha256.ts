/** SHA-256 in browsers: the platform's where there is one (secure pages), else in JavaScript, loaded only then. */

/** The engine's hash takes longer than a page may stand still: so much of it at a time takes a phone some 20 ms. */
const BYTES_AT_ONCE = 2 ** 18;

/** @param turn lets all else have its turn, where it is waited for */
export async function sha256Hex(content: Uint8Array | string, turn?: () => Promise<unknown>): Promise<string> {
  const bytes = typeof content === 'string' ? new TextEncoder().encode(content) : content;
  return hexOf(await digest(bytes, turn));
}

export function hexOf(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

async function digest(bytes: Uint8Array, turn?: () => Promise<unknown>): Promise<Uint8Array> {
  // The platform copies what it hashes, which is long enough for a task of its own.
  if (bytes.length > BYTES_AT_ONCE) await turn?.();
  // A page served over plain http from another machine, as a phone sees a laptop, has no crypto.subtle.
  if (globalThis.crypto?.subtle) {
    return new Uint8Array(await crypto.subtle.digest('SHA-256', bytes as Uint8Array<ArrayBuffer>));
  }
  const { sha256 } = await import('@noble/hashes/sha2.js');
  const hash = sha256.create();
  for (let at = 0; at < bytes.length; at += BYTES_AT_ONCE) {
    hash.update(bytes.subarray(at, at + BYTES_AT_ONCE));
    await turn?.();
  }
  return hash.digest();
}
