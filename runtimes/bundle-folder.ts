/** A bundle's folder on this machine's disk as a source to read it from. */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { BundleSource } from '../shared/bundle.ts';
import { messageOf, TandemError } from '../shared/errors.ts';

/** Reads reject with BAD_BUNDLE where a file is missing. */
export function folderSource(dir: string): BundleSource {
  const read = (file: string) =>
    readFile(join(dir, file)).catch((error: unknown) => {
      throw new TandemError('BAD_BUNDLE', `cannot read the bundle ${dir}: ${messageOf(error)}`, { cause: error });
    });
  return {
    name: dir,
    text: async (file) => (await read(file)).toString('utf8'),
    bytes: ({ file }) => read(file),
    sha256: async (content) => createHash('sha256').update(content).digest('hex'),
  };
}
