/** What the report says besides the plan: boundaries, what runtimes made of the segments, what was dropped. */
import type { Plan } from '../../shared/plan.ts';
import { costTable, isTooInaccurate } from '../../shared/schedule/table.ts';
import type { CompileRequest } from '../compile-request.ts';
import type { CompressedChain } from '../compress-chain.ts';
import type { Chain } from '../cut/segments.ts';
import { type Model, operatorsOf } from '../graph/graph.ts';
import { placesLeftOut } from '../measure/plan-figures.ts';
import { readModel } from '../onnx/read.ts';
import { type ReportData, type ReportFusion, reportBoundaries } from './data.ts';
import { reportSizes } from './sizes.ts';
import { unfusedIn } from './unfused.ts';

export async function reportData(
  { recipe, literal, optimized, choice, float }: CompileRequest,
  model: Model,
  chain: Chain,
  plan: Plan,
  compressed: CompressedChain,
  files: ReadonlyMap<string, Uint8Array | string>,
): Promise<ReportData> {
  const fusions: ReportFusion[] = [];
  const [first] = compressed.values();
  for (const [i, segment] of chain.segments.entries()) {
    const onDevice = (await optimized(first?.models[i] ?? segment.float, 'device')).graph;
    fusions.push({
      segment: i + 1,
      written: operatorsOf(readModel(segment.float, `segment ${i + 1}`).graph),
      server: operatorsOf((await optimized(segment.float, 'server')).graph),
      device: operatorsOf(onDevice),
      unfused: unfusedIn(onDevice),
    });
  }
  const boundaries = await reportBoundaries(model, recipe, literal);
  const searches = Object.fromEntries(
    [...compressed].flatMap(([target, { search }]) => (search ? [[target, search] as const] : [])),
  );
  const sizes = reportSizes(plan, compressed, chain.segments, (name) => files.get(name) as Uint8Array);
  const dropped = float ? [] : droppedFrom(plan, searches);
  return { plan, boundaries, fusions, sizes, inaccurate: inaccurateOf(plan), dropped, choice, searches };
}

/** On the target that the report draws. */
function inaccurateOf(plan: Plan): ReportData['inaccurate'] {
  const [target = ''] = Object.keys(plan.segments[0]?.targets ?? {});
  const rows = costTable(plan, target).rows.filter((row) => isTooInaccurate(row));
  return Object.fromEntries(rows.map(({ key, accuracyLost }) => [key, accuracyLost ?? 0]));
}

/** What the searches put back, and places that could not be timed. */
function droppedFrom({ measured }: Plan, searches: ReportData['searches']): string[] {
  const reverted = Object.entries(searches).flatMap(([target, search]) =>
    search.reverted.map((text) => `${target}: ${text}`),
  );
  return [...reverted, ...(measured ? placesLeftOut(measured) : [])];
}
