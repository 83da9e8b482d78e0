/** The engine's WebAssembly: a file like the model's, fetched, counted, checked and kept as they are. */
import { hasCode, TandemError } from '../shared/errors.ts';
import type { Device } from './device.ts';
import { type FetchOptions, fetchBytes } from './fetch-bytes.ts';
import type { Host } from './host.ts';

export interface RuntimeFile {
  readonly url: string;
  readonly bytes: number;
  /** SHA-256 of the release that the SDK was built with. */
  readonly sha256: string;
  /** SHA-256 of every file of that release: another page of this origin may use another of them. */
  readonly release: readonly string[];
  /** For messages: `onnxruntime-web 1.30.0`. */
  readonly of: string;
}

const WASM_MAGIC = [0x00, 0x61, 0x73, 0x6d];

/** Has the device have it, which checks it. Rejects with BAD_DOWNLOAD that says what lies at the address instead, and what to do. */
export async function provideRuntime(
  host: Host,
  file: RuntimeFile,
  provide: NonNullable<Device['provide']>,
  options: Omit<FetchOptions, 'bytesMax'>,
): Promise<void> {
  const { url, sha256 } = file;
  const { files } = host;
  const kept = await files.get(sha256);
  if (kept) {
    if ((await provide(kept)) === sha256) return;
    await files.delete(sha256);
  }
  const fix = `serve the file of ${file.of} there (npx tandem copy-assets DIR, with --accelerated where providers are named), or name its address as wasmUrl`;
  const bytes = await fetchBytes(host, url, { ...options, bytesMax: file.bytes }).catch((error: unknown) => {
    const isOther = hasCode(error, 'NOT_FOUND', 'BAD_DOWNLOAD');
    throw isOther ? new TandemError(error.code, `${error.message}: ${fix}`) : error;
  });
  if (WASM_MAGIC.some((byte, i) => bytes[i] !== byte)) {
    throw new TandemError('BAD_DOWNLOAD', `${url} is a page or another file, not WebAssembly: ${fix}`);
  }
  // What is handed over is gone.
  await files.put(sha256, bytes);
  if ((await provide(bytes)) === sha256) return;
  await files.delete(sha256);
  throw new TandemError('BAD_DOWNLOAD', `${url} is of another version than the SDK was built with: ${fix}`);
}
