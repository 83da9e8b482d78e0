/**
 * What a search has measured so far, a line each in a file: a search that was stopped goes on where it was. Of a run that
 * measures the same again nothing is asked twice.
 */
import { appendFile, mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { asTandemError } from '../../shared/errors.ts';

export interface Journal {
  /** The value under this name, measured unless the journal has it. Values are JSON. */
  once<T>(name: string, measure: () => Promise<T>): Promise<T>;
}

/**
 * @param path of its file; what is in it counts only if it was kept under the same key
 * @param key what the measurements depend on
 * @throws USAGE where it cannot be written
 */
export async function openJournal(path: string, key: string): Promise<Journal> {
  const known = await readJournal(path, key);
  if (known.size === 0) {
    await begin(path, key);
  }
  return {
    async once<T>(name: string, measure: () => Promise<T>): Promise<T> {
      if (known.has(name)) return known.get(name) as T;
      const value = await measure();
      known.set(name, value);
      await appendFile(path, `${JSON.stringify([name, value])}\n`);
      return value;
    },
  };
}

async function begin(path: string, key: string): Promise<void> {
  try {
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, `${JSON.stringify(key)}\n`);
  } catch (error) {
    throw asTandemError(error, 'USAGE', `cannot keep what a search measures in ${path}`);
  }
}

/** Lines up to one that was not written to its end. */
async function readJournal(path: string, key: string): Promise<Map<string, unknown>> {
  const known = new Map<string, unknown>();
  const text = await readFile(path, 'utf8').catch(() => '');
  const [first, ...lines] = text.split('\n');
  if (first !== JSON.stringify(key)) return known;
  for (const line of lines) {
    try {
      const [name, value] = JSON.parse(line) as [string, unknown];
      known.set(name, value);
    } catch {
      break;
    }
  }
  return known;
}
