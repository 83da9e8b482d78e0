/** SHA-256 in browsers: the platform's where there is one (secure pages), else in JavaScript, loaded only then. */

export async function sha256Hex(content: Uint8Array | string): Promise<string> {
  const bytes = typeof content === 'string' ? new TextEncoder().encode(content) : content;
  return Array.from(await digest(bytes), (byte) => byte.toString(16).padStart(2, '0')).join('');
}

async function digest(bytes: Uint8Array): Promise<Uint8Array> {
  // A page served over plain http from another machine, as a phone sees a laptop, has no crypto.subtle.
  if (globalThis.crypto?.subtle) {
    return new Uint8Array(await crypto.subtle.digest('SHA-256', bytes as Uint8Array<ArrayBuffer>));
  }
  const { sha256 } = await import('@noble/hashes/sha2.js');
  return sha256(bytes);
}
