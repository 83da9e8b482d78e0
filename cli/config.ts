/** Configuration files: JSON, with the paths in them taken relative to the file. */
import { readFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { type CompileConfig, parseCompileConfig } from '../compiler/index.ts';
import { messageOf, TandemError } from '../shared/errors.ts';
import { parseJson } from '../shared/parse.ts';

/** @throws NOT_FOUND or BAD_CONFIG */
export async function readConfigFile(path: string): Promise<unknown> {
  const json = await readFile(path, 'utf8').catch((error: unknown) => {
    throw new TandemError('NOT_FOUND', `cannot read the configuration: ${messageOf(error)}; pass --config F`, {
      cause: error,
    });
  });
  const config = parseJson(json, 'BAD_CONFIG', path);
  if (typeof config !== 'object' || config === null || !('bundles' in config) || !Array.isArray(config.bundles)) {
    return config;
  }
  const bundles = config.bundles.map((dir: unknown) => (typeof dir === 'string' ? resolve(dirname(path), dir) : dir));
  return { ...config, bundles };
}

/** The compiler's configuration, empty without a path. Samples are relative to the file. Throws NOT_FOUND or BAD_CONFIG. */
export async function readCompileConfig(path: string | undefined): Promise<CompileConfig> {
  if (path === undefined) return parseCompileConfig({}, 'no configuration');
  const config = parseCompileConfig(await readConfigFile(path), path);
  return { ...config, ...(config.samples && { samples: resolve(dirname(path), config.samples) }) };
}
