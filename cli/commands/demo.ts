/** `tandem demo`, which `npm start` runs: compiles the demo's model if needed, then serves it with the page. */
import { networkInterfaces } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { compile, isCurrent } from '../../compiler/index.ts';
import { loadRecipe } from '../../models/index.ts';
import { parseServerConfig } from '../../server/index.ts';
import { readArguments } from '../arguments.ts';
import { readConfigFile } from '../config.ts';
import { stderrProgress } from '../progress.ts';
import { portNumber, serveUntilSignal, withOverrides } from './serve.ts';

export const usage = 'tandem demo [--port N]';

/** dist/cli/commands -> the repository. */
const ROOT = resolve(fileURLToPath(import.meta.url), '../../../..');
const MODEL = 'ocr-line';

export async function run(argv: readonly string[]): Promise<number> {
  const { values } = readArguments(argv, { port: { type: 'string' } }, []);
  const path = join(ROOT, 'web', 'tandem.json');
  const { value, place } = await readConfigFile(path);
  const config = withOverrides(parseServerConfig(value, place), portNumber(values.port));
  const recipe = await loadRecipe(MODEL);
  const [bundle = ''] = config.bundles;
  if (!(await isCurrent(recipe, bundle))) await compile(recipe, bundle, { progress: stderrProgress() });
  process.stderr.write('loading the model and compressing files for clients ...\n');
  return serveUntilSignal(config, { siteDir: join(ROOT, 'dist', 'web', 'site') }, (url) => announce(url, config.host));
}

function announce(url: string, host: string): string {
  const phones = lanAddresses(host).map((address) => `  on your phone: http://${address}:${new URL(url).port}`);
  const hint = phones.length === 0 ? ['  (TANDEM_HOST=0.0.0.0 npm start lets a phone on the same network in)'] : [];
  return ['', `  Tandem demo: ${url}`, ...phones, ...hint, ''].join('\n');
}

function lanAddresses(host: string): string[] {
  if (host !== '0.0.0.0' && host !== '::') return [];
  return Object.values(networkInterfaces())
    .flatMap((list) => list ?? [])
    .filter(({ family, internal }) => family === 'IPv4' && !internal)
    .map(({ address }) => address);
}
