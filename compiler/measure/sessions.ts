/** Chains of sessions, loaded and let go together. */
import type { Runtime, Session } from '../../shared/runtime.ts';

export function loadAll(runtime: Runtime, models: readonly Uint8Array[]): Promise<Session[]> {
  return Promise.all(models.map((model) => runtime.load(model)));
}

export async function releaseAll(chains: readonly (readonly Session[])[]): Promise<void> {
  await Promise.all(chains.flat().map((session) => session.release()));
}
