/** `tandem serve`: the gateway, until SIGTERM or SIGINT, which it drains on. */
import { resolve } from 'node:path';
import { parseServerConfig, type ServeOptions, type ServerConfig, serve } from '../../server/index.ts';
import { TandemError } from '../../shared/errors.ts';
import { readArguments, wholeNumber } from '../arguments.ts';
import { readConfigFile } from '../config.ts';

export const usage = 'tandem serve [--config F] [--port N]';

/** What `serve` reads from the environment; options win over it, and it over the file. */
export async function run(argv: readonly string[]): Promise<number> {
  const { values } = readArguments(argv, { config: { type: 'string' }, port: { type: 'string' } }, []);
  const path = resolve(values.config ?? environment('TANDEM_CONFIG') ?? 'tandem.json');
  const { value, place } = await readConfigFile(path);
  const config = parseServerConfig(value, place);
  return serveUntilSignal(withOverrides(config, portNumber(values.port)));
}

/** TANDEM_HOST, TANDEM_PORT and TANDEM_RECEIPT_KEY over the file, an option over all. */
export function withOverrides(config: ServerConfig, port: number | undefined): ServerConfig {
  const envPort = portNumber(environment('TANDEM_PORT') ?? environment('PORT'), 'TANDEM_PORT');
  const receiptKey = environment('TANDEM_RECEIPT_KEY') ?? config.receiptKey;
  const host = environment('TANDEM_HOST') ?? config.host;
  return { ...config, host, receiptKey, port: port ?? envPort ?? config.port };
}

/** Undefined as well where it is empty, as files for compose leave what nobody has set: as a host, that would be every address. */
function environment(name: string): string | undefined {
  return process.env[name] || undefined;
}

/** A TCP port given as an option or in the environment. Throws USAGE. */
export function portNumber(value: string | undefined, source = '--port'): number | undefined {
  const port = wholeNumber(value, source);
  if (port !== undefined && port > PORT_MAX)
    throw new TandemError('USAGE', `expected a port up to ${PORT_MAX}, got ${port}`);
  return port;
}

const PORT_MAX = 65_535;

/** @param announce says where the server listens, once it does */
export async function serveUntilSignal(
  config: ServerConfig,
  options: ServeOptions = {},
  announce: (url: string) => string = (url) => `listening on ${url}`,
): Promise<number> {
  const log = (line: string) => process.stderr.write(`${line}\n`);
  // Whoever reads the log may go away, and come back for the next start, or their disk be full: requests do not hang on it.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {});
  const server = await serve(config, { ...options, log });
  process.stdout.write(`${announce(server.url)}\n`);
  await new Promise<void>((resolve_) => {
    const onSignal = () => {
      // The second one, whichever it is, ends it at once.
      process.off('SIGTERM', onSignal).off('SIGINT', onSignal);
      resolve_();
    };
    process.on('SIGTERM', onSignal).on('SIGINT', onSignal);
  });
  await server.close();
  log('closed');
  return 0;
}
