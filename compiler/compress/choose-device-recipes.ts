/** How each target stores each segment: as it was measured before, or by timing both forms on the target. */
import type { Plan } from '../../shared/plan.ts';
import type { Runtime } from '../../shared/runtime.ts';
import type { CompileRequest } from '../compile-request.ts';
import type { Chain, ChainSegment } from '../cut/segments.ts';
import type { MeasuredRecord } from '../measure/record.ts';
import { loadAll, releaseAll } from '../measure/sessions.ts';
import { measureTime } from '../measure/time.ts';
import { chooseDeviceRecipe, type DeviceRecipe } from './device-recipe.ts';

/** By target, a recipe a segment. */
export async function chooseDeviceRecipes(
  request: CompileRequest,
  plan: Plan,
  chain: Chain,
  record: MeasuredRecord | undefined,
): Promise<Map<string, readonly DeviceRecipe[]>> {
  const chosen = new Map<string, readonly DeviceRecipe[]>();
  for (const target of request.devices.keys()) {
    const known = record?.deviceRecipes[target];
    if (request.float) {
      chosen.set(
        target,
        chain.segments.map(() => 'float32'),
      );
    } else if (known) {
      chosen.set(target, known);
    } else {
      chosen.set(target, await timedRecipes(request, plan, chain, target));
    }
  }
  return chosen;
}

async function timedRecipes(
  { recipe, devices, timing, now, progress }: CompileRequest,
  plan: Plan,
  { segments }: Chain,
  target: string,
): Promise<DeviceRecipe[]> {
  const runtime = ((await timing()).places.get(target)?.runtime ?? devices.get(target)) as Runtime;
  const load = (form: 'float' | 'int8') =>
    loadAll(
      runtime,
      segments.map((segment) => segment[form]),
    );
  const [float, int8] = [await load('float'), await load('int8')];
  const places = new Map([
    ['float', { plan, sessions: float }],
    ['int8', { plan, sessions: int8 }],
  ]);
  const times = await measureTime({ places, sizes: [recipe.size.typical], input: recipe.noise, now, progress });
  await releaseAll([float, int8]);
  return segments.map((_, i) => {
    const [int8Ms, floatMs] = [times['int8']?.[i], times['float']?.[i]];
    return int8Ms && floatMs ? chooseDeviceRecipe(int8Ms, floatMs, recipe.size) : 'float32';
  });
}

/** A segment's file, stored as the recipe says. */
export function deviceBytes(segment: ChainSegment, recipe: DeviceRecipe | undefined): Uint8Array {
  return recipe === 'int8-storage' ? segment.int8 : segment.float;
}
