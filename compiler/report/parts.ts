/** What the report says besides the plan: boundaries, what runtimes made of the segments, what was dropped. */
import type { Plan } from '../../shared/plan.ts';
import type { CompileRequest } from '../compile-request.ts';
import { deviceBytes } from '../compress/choose-device-recipes.ts';
import type { DeviceRecipe } from '../compress/device-recipe.ts';
import type { Chain } from '../cut/segments.ts';
import { type Model, operatorsOf } from '../graph/graph.ts';
import { placesLeftOut } from '../measure/plan-figures.ts';
import { readModel } from '../onnx/read.ts';
import { type ReportData, type ReportFusion, reportBoundaries } from './data.ts';
import { reportSizes } from './sizes.ts';
import { unfusedIn } from './unfused.ts';

export async function reportData(
  { recipe, server, optimized, choice, float }: CompileRequest,
  model: Model,
  chain: Chain,
  plan: Plan,
): Promise<ReportData> {
  const fusions: ReportFusion[] = [];
  const [target] = Object.keys(plan.segments[0]?.targets ?? {});
  for (const [i, segment] of chain.segments.entries()) {
    const recipeOf = plan.segments[i]?.targets[target ?? '']?.recipe;
    const onDevice = (await optimized(deviceBytes(segment, recipeOf as DeviceRecipe), 'device')).graph;
    fusions.push({
      segment: i + 1,
      written: operatorsOf(readModel(segment.float, `segment ${i + 1}`).graph),
      server: operatorsOf((await optimized(segment.float, 'server')).graph),
      device: operatorsOf(onDevice),
      unfused: unfusedIn(onDevice),
    });
  }
  const boundaries = await reportBoundaries(model, recipe, server);
  const sizes = reportSizes(plan, chain.segments);
  return { plan, boundaries, fusions, sizes, dropped: float ? [] : droppedFrom(plan), choice };
}

/** Compressed forms that were slower than float, and places that could not be timed. */
function droppedFrom({ segments, measured }: Plan): string[] {
  const slower = segments.flatMap(({ targets }, i) =>
    Object.entries(targets)
      .filter(([, { recipe }]) => recipe === 'float32')
      .map(([target]) => `segment ${i + 1} for ${target} in 8 bits: it measured slower than in full precision`),
  );
  return [...slower, ...(measured ? placesLeftOut(measured) : [])];
}
