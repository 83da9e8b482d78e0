/** Chains of sessions, loaded and let go together. */
import type { Runtime, Session } from '../../shared/runtime.ts';

/** One after the other: WebGPU makes no two sessions at once. */
export async function loadAll(runtime: Runtime, models: readonly Uint8Array[]): Promise<Session[]> {
  const sessions: Session[] = [];
  for (const model of models) sessions.push(await runtime.load(model));
  return sessions;
}

export async function releaseAll(chains: readonly (readonly Session[])[]): Promise<void> {
  await Promise.all(chains.flat().map((session) => session.release()));
}
