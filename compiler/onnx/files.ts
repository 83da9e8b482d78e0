/** Models as files on disk, with the weights that lie beside them: ONNX's external data. */
import { closeSync, fstatSync, openSync, readFileSync, readSync, realpathSync, statSync, writeSync } from 'node:fs';
import { basename, dirname, isAbsolute, join, sep } from 'node:path';
import { messageOf, TandemError } from '../../shared/errors.ts';
import type { Constant, Model } from '../graph/graph.ts';
import { type ExternalReference, type ReadExternal, readModel } from './read.ts';
import { MODEL_BYTES_MAX, weightBytes } from './size.ts';
import { writeModel } from './write.ts';

/** Smaller constants stay in the model, as onnx.save_model leaves them. */
const EXTERNAL_BYTES_MIN = 1024;
/** Offsets that operating systems can map into memory. */
const ALIGNMENT = 4096;

/** Throws NOT_FOUND, BAD_MODEL; BAD_MODEL too for external data that is not in the model's own folder. */
export function readModelFile(path: string): Model {
  return readModel(readFile(path), path, externalReader(path));
}

function readFile(path: string): Uint8Array {
  try {
    return readFileSync(path);
  } catch (error) {
    throw new TandemError('NOT_FOUND', `cannot read ${path}: ${messageOf(error)}`, { cause: error });
  }
}

/** Reads the weights that lie beside the model at `path`. */
export function externalReader(path: string): ReadExternal {
  return (reference) => {
    const folder = dirname(realpathSync(path));
    const file = resolveInside(folder, reference.location, path);
    const handle = openSync(file, 'r');
    try {
      return readRange(handle, reference, path);
    } finally {
      closeSync(handle);
    }
  };
}

/** Links are followed before they are judged: what counts is the file that would be read. */
function resolveInside(folder: string, location: string, path: string): string {
  const refuse = (why: string) => new TandemError('BAD_MODEL', `${path} keeps weights in ${location}, ${why}`);
  if (isAbsolute(location) || location.includes('\0')) throw refuse('which is not a path beside it');
  let file: string;
  try {
    file = realpathSync(join(folder, location));
  } catch (error) {
    throw refuse(`which cannot be read: ${messageOf(error)}`);
  }
  if (!file.startsWith(folder.endsWith(sep) ? folder : folder + sep)) throw refuse('which is outside its folder');
  if (!statSync(file).isFile()) throw refuse('which is no file');
  return file;
}

function readRange(handle: number, { location, offset, length }: ExternalReference, path: string): Uint8Array {
  const { size } = fstatSync(handle);
  const end = length === undefined ? size : offset + length;
  if (offset > size || end > size) {
    throw new TandemError('BAD_MODEL', `${path} wants bytes ${offset} to ${end} of ${location}, which has ${size}`);
  }
  const bytes = new Uint8Array(end - offset);
  let read = 0;
  while (read < bytes.byteLength) {
    const got = readSync(handle, bytes, read, Math.min(2 ** 30, bytes.byteLength - read), offset + read);
    if (got === 0) throw new TandemError('BAD_MODEL', `${location} became shorter while it was read`);
    read += got;
  }
  return bytes;
}

/**
 * Writes a model to `path`. Where one message could not hold it, its weights go to a file beside it, `NAME.data`.
 * @param modelBytesMax for tests
 */
export function writeModelFile(model: Model, path: string, modelBytesMax: number = MODEL_BYTES_MAX): void {
  const isLarge = weightBytes(model.graph) > modelBytesMax;
  const data = isLarge ? openSync(`${path}.data`, 'w') : undefined;
  let end = 0;
  const external = (constant: Constant): ExternalReference | undefined => {
    const { byteLength } = constant.bytes;
    if (data === undefined || byteLength < EXTERNAL_BYTES_MIN) return undefined;
    const offset = Math.ceil(end / ALIGNMENT) * ALIGNMENT;
    writeAll(data, constant.bytes, offset);
    end = offset + byteLength;
    return { location: `${basename(path)}.data`, offset, length: byteLength };
  };
  try {
    const handle = openSync(path, 'w');
    try {
      writeAll(handle, writeModel(model, external), 0);
    } finally {
      closeSync(handle);
    }
  } finally {
    if (data !== undefined) closeSync(data);
  }
}

function writeAll(handle: number, bytes: Uint8Array, position: number): void {
  let written = 0;
  while (written < bytes.byteLength) {
    written += writeSync(handle, bytes, written, Math.min(2 ** 30, bytes.byteLength - written), position + written);
  }
}
