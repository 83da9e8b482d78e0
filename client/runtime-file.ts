/** The engine's WebAssembly: a file like the model's, fetched, counted, checked and kept as they are. */
import { hasCode, TandemError } from '../shared/errors.ts';
import { type FetchOptions, fetchBytes } from './fetch-bytes.ts';
import { keptFile } from './file-store.ts';
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

/** Rejects with BAD_DOWNLOAD that says what lies at the address instead, and what to do. */
export async function fetchRuntime(
  host: Host,
  file: RuntimeFile,
  options: Omit<FetchOptions, 'bytesMax'>,
): Promise<Uint8Array> {
  return keptFile(host, host.files, file.sha256, async () => ({
    bytes: await fetched(host, file, options),
    isWhole: true,
  }));
}

async function fetched(host: Host, file: RuntimeFile, options: Omit<FetchOptions, 'bytesMax'>): Promise<Uint8Array> {
  const fix = `serve the file of ${file.of} there (npx tandem copy-assets DIR, with --accelerated where providers are named), or name its address as wasmUrl`;
  const bytes = await fetchBytes(host, file.url, { ...options, bytesMax: file.bytes }).catch((error: unknown) => {
    const isOther = hasCode(error, 'NOT_FOUND', 'BAD_DOWNLOAD');
    throw isOther ? new TandemError(error.code, `${error.message}: ${fix}`) : error;
  });
  if (WASM_MAGIC.some((byte, i) => bytes[i] !== byte)) {
    throw new TandemError('BAD_DOWNLOAD', `${file.url} is a page or another file, not WebAssembly: ${fix}`);
  }
  if ((await host.sha256(bytes)) !== file.sha256) {
    throw new TandemError('BAD_DOWNLOAD', `${file.url} is of another version than the SDK was built with: ${fix}`);
  }
  return bytes;
}
