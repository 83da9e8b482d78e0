/** Servers and clients of benches, each in a process of its own that ends with the bench, also where that fails half way. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';

/** A server that says on stdout, first of all, where it is. */
export async function startServer(script: string, ...args: string[]): Promise<{ url: string; kill(): Promise<void> }> {
  const child = spawn(process.execPath, [script, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
  const kill = killer(child);
  const ended = once(child, 'close').then(([code]) => Promise.reject(new Error(`${script} ended: ${code}`)));
  const url = await Promise.race([once(child.stdout, 'data').then(([chunk]) => String(chunk).trim()), ended]);
  ended.catch(() => {});
  return { url, kill };
}

export function killer(child: ChildProcess): () => Promise<void> {
  const exited = once(child, 'close');
  exited.catch(() => {});
  const onExit = () => child.kill('SIGKILL');
  process.once('exit', onExit);
  return async () => {
    process.off('exit', onExit);
    child.kill('SIGKILL');
    await exited;
  };
}
