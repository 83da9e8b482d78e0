/** The package as npm installs it: packed, unpacked, and with nothing beside it but the packages that a user would have. */
import { mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Outcome, run } from './processes.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

interface PackageJson {
  readonly dependencies: Readonly<Record<string, string>>;
  readonly bin?: string | Readonly<Record<string, string>>;
}

/** `node_modules` in `folder`, with tandem, what it depends on, and `others` of this repository's own packages. */
export async function installInto(folder: string, others: readonly string[] = []): Promise<void> {
  const modules = join(folder, 'node_modules');
  await mkdir(join(modules, '.bin'), { recursive: true });
  await succeeds('npm', ['pack', '--silent', '--pack-destination', folder], ROOT);
  await succeeds('tar', ['-xzf', 'tandem-0.1.0.tgz', '-C', 'node_modules'], folder);
  await succeeds('mv', ['package', 'tandem'], modules);
  const { dependencies } = await readPackage(join(modules, 'tandem'));
  for (const name of [...Object.keys(dependencies), ...others]) {
    await mkdir(dirname(join(modules, name)), { recursive: true });
    await symlink(join(ROOT, 'node_modules', name), join(modules, name));
  }
  for (const name of ['tandem', ...others]) await linkCommands(modules, name);
}

async function linkCommands(modules: string, name: string): Promise<void> {
  const { bin = {} } = await readPackage(join(modules, name));
  const commands = typeof bin === 'string' ? { [name]: bin } : bin;
  for (const [command, script] of Object.entries(commands)) {
    const shell = `#!/bin/sh\nexec '${process.execPath}' '${join(modules, name, script)}' "$@"\n`;
    await writeFile(join(modules, '.bin', command), shell, { mode: 0o755 });
  }
}

async function readPackage(folder: string): Promise<PackageJson> {
  return JSON.parse(await readFile(join(folder, 'package.json'), 'utf8')) as PackageJson;
}

/** Runs a program that must end well. Its output is the error's message where it does not. */
export async function succeeds(program: string, args: readonly string[], cwd: string): Promise<Outcome> {
  const outcome = await run(program, args, cwd);
  if (outcome.code !== 0) {
    throw new Error(`${program} ${args.join(' ')} ended with ${outcome.code}:\n${outcome.stdout}\n${outcome.stderr}`);
  }
  return outcome;
}
