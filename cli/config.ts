/** Configuration files: JSON, with the paths in them taken relative to the file. */
import { readFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { type CompileConfig, parseCompileConfig } from '../compiler/index.ts';
import { messageOf, TandemError } from '../shared/errors.ts';
import { lineOfSyntaxError, placesIn } from '../shared/json-lines.ts';
import { type Place, parseJson } from '../shared/parse.ts';

export interface ConfigFile {
  readonly value: unknown;
  /** Names places in it, with their lines. */
  readonly place: Place;
}

/** Keys of the gateway's configuration that are paths, besides its bundles. */
const PATHS = ['receiptKey', 'auditLog'];
/** What stands for no file. */
const STDOUT = 'stdout';

/** @throws NOT_FOUND or BAD_CONFIG */
export async function readConfigFile(path: string): Promise<ConfigFile> {
  const json = await readFile(path, 'utf8').catch((error: unknown) => {
    throw new TandemError('NOT_FOUND', `cannot read the configuration: ${messageOf(error)}; pass --config F`, {
      cause: error,
    });
  });
  const line = lineOfSyntaxError(json);
  if (line !== null) throw new TandemError('BAD_CONFIG', `${path}:${line}: expected JSON, and this line breaks it`);
  const value = parseJson(json, 'BAD_CONFIG', path);
  const place = placesIn(path, json);
  if (typeof value !== 'object' || value === null) return { value, place };
  const absolute = (file: unknown) =>
    typeof file === 'string' && file !== STDOUT ? resolve(dirname(path), file) : file;
  const entries = Object.entries(value).map(([key, own]) => {
    if (key === 'bundles' && Array.isArray(own)) return [key, own.map(absolute)] as const;
    return [key, PATHS.includes(key) ? absolute(own) : own] as const;
  });
  return { value: Object.fromEntries(entries), place };
}

/** The compiler's configuration, empty without a path. Samples are relative to the file. Throws NOT_FOUND or BAD_CONFIG. */
export async function readCompileConfig(path: string | undefined): Promise<CompileConfig> {
  if (path === undefined) return parseCompileConfig({}, 'no configuration');
  const { value, place } = await readConfigFile(path);
  const config = parseCompileConfig(value, place);
  return { ...config, ...(config.samples && { samples: resolve(dirname(path), config.samples) }) };
}
