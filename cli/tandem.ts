#!/usr/bin/env node
/** The `tandem` command: picks the command, and turns errors into one line and an exit code. */
import { messageOf, TandemError } from '../shared/errors.ts';
import { printable } from './table.ts';

interface Command {
  readonly usage: string;
  run(argv: readonly string[]): Promise<number>;
}

/** Loaded only when asked for: `tandem serve` need not load the compiler. */
const COMMANDS: Readonly<Record<string, () => Promise<Command>>> = {
  inspect: () => import('./commands/inspect.ts'),
  compile: () => import('./commands/compile.ts'),
  verify: () => import('./commands/verify.ts'),
  serve: () => import('./commands/serve.ts'),
  infer: () => import('./commands/infer.ts'),
  demo: () => import('./commands/demo.ts'),
  simulate: () => import('./commands/simulate.ts'),
  replay: () => import('./commands/replay.ts'),
  types: () => import('./commands/types.ts'),
  'copy-assets': () => import('./commands/copy-assets.ts'),
};

/** A peer: apps for browsers have no use for its 288 MB. */
const ENGINE = 'onnxruntime-node';

/** Exit codes: 0 done, 1 the thing checked does not hold, 2 bad usage or bad input, 70 a mistake of ours. */
async function main([name, ...argv]: readonly string[]): Promise<number> {
  if (name === undefined || name === '--help' || name === 'help') {
    process.stdout.write(`${await help()}\n`);
    return name === undefined ? 2 : 0;
  }
  const load = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  try {
    if (!load) throw new TandemError('USAGE', `expected a command (${Object.keys(COMMANDS).join(', ')}), got ${name}`);
    const command = await load().catch(lacking(name));
    if (argv.includes('--help')) {
      process.stdout.write(`${command.usage}\n`);
      return 0;
    }
    return await command.run(argv);
  } catch (error) {
    return report(error);
  }
}

async function help(): Promise<string> {
  const usages = await Promise.all(
    Object.entries(COMMANDS).map(([name, load]) =>
      load()
        .catch(lacking(name))
        .then(
          ({ usage }) => usage,
          (error: unknown) => messageOf(error),
        ),
    ),
  );
  return ['usage:', ...usages.map((usage) => `  ${usage}`)].join('\n');
}

/** Says what to do about an engine that is not there. */
function lacking(name: string): (error: unknown) => never {
  return (error) => {
    const isMissing = (error as NodeJS.ErrnoException).code === 'ERR_MODULE_NOT_FOUND';
    if (!isMissing || !messageOf(error).includes(`'${ENGINE}'`)) throw error;
    throw new TandemError('UNSUPPORTED', `tandem ${name} runs models with ${ENGINE}: npm install ${ENGINE}`);
  };
}

function report(error: unknown): number {
  if (error instanceof TandemError && error.code !== 'INTERNAL') {
    process.stderr.write(`tandem: ${error.code}: ${printable(error.message)}\n`);
    return 2;
  }
  process.stderr.write(`tandem: INTERNAL: ${error instanceof Error ? error.stack : String(error)}\n`);
  return 70;
}

process.exitCode = await main(process.argv.slice(2));
// Worker threads and sockets of libraries may hold the process; what was to be done is done.
// A pipe may still hold what was written.
process.stdout.write('', () => process.exit());
