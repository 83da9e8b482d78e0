/** Chains of one model timed side by side, on the device's runtime and on the server's, before there is a plan. */
import type { Runtime } from '../../shared/runtime.ts';
import { costAt } from '../../shared/size.ts';
import type { Chain } from '../cut/segments.ts';
import { draftPlan, NO_MODEL } from '../draft-plan.ts';
import type { Progress } from '../progress.ts';
import type { ModelRecipe } from '../recipe.ts';
import { loadAll, releaseAll } from './sessions.ts';
import { measureTime, type TimedChain } from './time.ts';

/** Milliseconds of each segment of a chain at the typical size. */
export interface ChainTimes {
  readonly device: readonly number[];
  readonly server: readonly number[];
}

export interface ChainTimesRequest {
  readonly recipe: ModelRecipe;
  readonly server: Runtime;
  readonly device: Runtime;
  readonly now: () => number;
  readonly progress: Progress;
}

/** In full precision. All run in turn, so that noise falls on all alike. */
export async function timeChains(request: ChainTimesRequest, chains: readonly Chain[]): Promise<ChainTimes[]> {
  const { recipe, now, progress } = request;
  const { typical } = recipe.size;
  const places = new Map<string, TimedChain>();
  for (const [i, chain] of chains.entries()) {
    const plan = draftPlan(recipe, chain, NO_MODEL, []);
    for (const place of ['server', 'device'] as const) {
      const models = chain.segments.map(({ float }) => float);
      places.set(`${place} ${i}`, { plan, sessions: await loadAll(request[place], models) });
    }
  }
  const times = await measureTime({ places, sizes: [typical], input: recipe.noise, now, progress });
  await releaseAll([...places.values()].map(({ sessions }) => sessions));
  const at = (place: string, i: number) => (times[`${place} ${i}`] ?? []).map((cost) => costAt(cost, typical));
  return chains.map((_, i) => ({ device: at('device', i), server: at('server', i) }));
}
