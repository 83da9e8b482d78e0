/** Network traces from files and folders; a folder below is a collection. */
import { readdir, readFile, stat } from 'node:fs/promises';
import { basename, dirname, join, relative } from 'node:path';
import { messageOf, TandemError } from '../shared/errors.ts';
import { assembleTraces, type LinkDefaults, type NamedFile, parseTraceFile, type Trace } from '../simulate/index.ts';

/** Beside traces lie their descriptions. */
const IS_DESCRIPTION = /(^|\/)(README[^/]*|LICENSE[^/]*|[^/]*\.md|\.[^/]*)$/i;

/** @throws NOT_FOUND for a path that is not there, BAD_INPUT for a file that is no trace, or a folder without any */
export async function readTraces(paths: readonly string[], defaults: LinkDefaults): Promise<Trace[]> {
  const files: NamedFile[] = [];
  for (const path of paths) {
    for (const { file, collection } of await filesOf(path)) {
      const text = await readFile(file, 'utf8').catch(unreadable(file));
      files.push({ name: basename(file), collection, file: parseTraceFile(text, file) });
    }
  }
  return assembleTraces(files, defaults);
}

async function filesOf(path: string): Promise<{ file: string; collection: string }[]> {
  const found = await stat(path).catch(unreadable(path));
  if (!found.isDirectory()) {
    return IS_DESCRIPTION.test(path) ? [] : [{ file: path, collection: basename(dirname(path)) }];
  }
  const entries = await readdir(path, { recursive: true, withFileTypes: true });
  const files = entries
    .filter((entry) => entry.isFile() && !IS_DESCRIPTION.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
  if (files.length === 0) throw new TandemError('BAD_INPUT', `${path}: there is no trace in this folder`);
  return files.map((file) => ({ file, collection: relative(path, dirname(file)) || basename(path) }));
}

function unreadable(path: string): (error: unknown) => never {
  return (error) => {
    throw new TandemError('NOT_FOUND', `cannot read ${path}: ${messageOf(error)}`, { cause: error });
  };
}
