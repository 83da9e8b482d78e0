/** Network traces from files and folders; a folder below is a collection. */
import { readdir, readFile, realpath, stat } from 'node:fs/promises';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { TandemError } from '../shared/errors.ts';
import { assembleTraces, type NamedFile, parseTraceFile, type Trace } from '../simulate/index.ts';
import { unreadable } from './unreadable.ts';

/** Beside traces lie their descriptions. */
const IS_DESCRIPTION = /^(README|LICENSE)|\.md$/i;

/** @throws NOT_FOUND for a path that is not there, BAD_INPUT for a file that is no trace, or a folder without any */
export async function readTraces(paths: readonly string[]): Promise<Trace[]> {
  const files: NamedFile[] = [];
  for (const path of paths) {
    for (const { file, collection } of await filesOf(path)) {
      const text = await readFile(file, 'utf8').catch(unreadable(file));
      files.push({ name: basename(file), collection, file: parseTraceFile(text, file) });
    }
  }
  return assembleTraces(files);
}

async function filesOf(path: string): Promise<{ file: string; collection: string }[]> {
  const found = await stat(path).catch(unreadable(path));
  // What is named is read, whatever it is called.
  if (!found.isDirectory()) return [{ file: path, collection: basename(dirname(resolve(path))) }];
  const files = (await filesBelow(path, new Set())).sort();
  if (files.length === 0) throw new TandemError('BAD_INPUT', `${path}: there is no trace in this folder`);
  return files.map((file) => ({ file, collection: relative(path, dirname(file)) || basename(resolve(path)) }));
}

/** @param seen folders by their real paths: links may lead around in a circle */
async function filesBelow(folder: string, seen: Set<string>): Promise<string[]> {
  const real = await realpath(folder).catch(unreadable(folder));
  if (seen.has(real)) return [];
  seen.add(real);
  const files: string[] = [];
  for (const name of await readdir(folder).catch(unreadable(folder))) {
    if (name.startsWith('.')) continue;
    const path = join(folder, name);
    const found = await stat(path).catch(unreadable(path));
    if (found.isDirectory()) files.push(...(await filesBelow(path, seen)));
    else if (found.isFile() && !IS_DESCRIPTION.test(name)) files.push(path);
  }
  return files;
}
