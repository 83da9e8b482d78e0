/** The built command as users run it: as a process of its own. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
export const TANDEM = join(ROOT, 'dist/cli/tandem.js');
/** Where `npm start` keeps the demo's bundle. */
export const BUNDLE_DIR = join(ROOT, '.tandem/ocr-line');

export interface Outcome {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the command to its end. */
export function tandem(...args: string[]): Promise<Outcome> {
  return run(process.execPath, [TANDEM, ...args]);
}

/** Runs any program to its end. */
export async function run(program: string, args: readonly string[], cwd: string = process.cwd()): Promise<Outcome> {
  const child = spawn(program, args, { cwd, stdio: ['ignore', 'pipe', 'pipe'] });
  const [stdout, stderr, [code]] = await Promise.all([
    textOf(child.stdout),
    textOf(child.stderr),
    once(child, 'close'),
  ]);
  return { code: code as number | null, stdout, stderr };
}

export interface ServerProcess {
  readonly url: string;
  readonly child: ChildProcess;
  /** What it has said on stderr so far. */
  log(): string;
  /** Exit code, once it has ended. */
  readonly exited: Promise<number | null>;
  /** Ends it, however it is. */
  kill(): Promise<void>;
}

/** Starts `tandem serve` on a free port with the demo's bundle and policy, and changes to the configuration and the environment. */
export async function startServer(
  changes: Record<string, unknown> = {},
  environment: Record<string, string> = {},
): Promise<ServerProcess> {
  const path = join(await temporaryFolder(), 'tandem.json');
  const config = {
    port: 0,
    bundles: [BUNDLE_DIR],
    policy: {
      aliases: { features: 'p2o.AveragePool.1' },
      labels: { public: 'input', personal: 'features', secret: 'local' },
    },
    credentials: { anonymous: { labels: ['public', 'personal', 'secret'] } },
    ...changes,
  };
  await writeFile(path, JSON.stringify(config));
  return startProcess(['serve', '--config', path], environment);
}

/** Starts the demo on a free port. */
export function startDemo(port = 0): Promise<ServerProcess> {
  return startProcess(['demo', '--port', String(port)]);
}

async function startProcess(args: readonly string[], environment: Record<string, string> = {}): Promise<ServerProcess> {
  const env = { ...process.env, ...environment };
  const child = spawn(process.execPath, [TANDEM, ...args], { stdio: ['ignore', 'pipe', 'pipe'], env });
  let log = '';
  child.stderr.on('data', (chunk: Buffer) => {
    log += chunk.toString();
  });
  const exited = once(child, 'close').then(([code]) => code as number | null);
  let said = '';
  const url = await Promise.race([
    new Promise<string>((resolve) => {
      child.stdout.on('data', (chunk: Buffer) => {
        said += chunk.toString();
        const match = /http:\/\/\S+/.exec(said);
        if (match) resolve(match[0]);
      });
    }),
    exited.then((code) => Promise.reject(new Error(`the server ended with ${code}: ${log}`))),
  ]);
  return {
    url,
    child,
    log: () => log,
    exited,
    async kill() {
      child.kill('SIGKILL');
      await exited;
    },
  };
}

export function temporaryFolder(): Promise<string> {
  return mkdtemp(join(tmpdir(), 'tandem-test-'));
}

async function textOf(stream: NodeJS.ReadableStream): Promise<string> {
  let text = '';
  for await (const chunk of stream) text += chunk.toString();
  return text;
}
