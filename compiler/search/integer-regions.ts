/**
 * Which layers are worth computing in integers together. Turning values into codes and back costs time at the edges of a region,
 * so a layer that is faster by itself may still not pay: of each region of neighbours the layers that gain least are left
 * out until the rest pays for its edges.
 */
import { elementCount } from '../../shared/tensor.ts';
import { integerNodes } from '../compress/compress-segment.ts';
import { type IntegerGroup, integerGroups } from '../compress/integer-groups.ts';
import type { Types } from '../graph/cost.ts';
import { type Graph, indexGraph } from '../graph/graph.ts';
import type { LayerTimes } from './layer-times.ts';

/**
 * @param types of the graph's values, at the size that was timed
 * @param conversionMs of one element into codes or back
 * @returns milliseconds that each worthwhile layer saves, its share of the edges taken off
 */
export function integerSavings(
  graph: Graph,
  times: ReadonlyMap<string, LayerTimes>,
  types: Types,
  conversionMs: number,
): Map<string, number> {
  const savedAlone = new Map(
    [...times].flatMap(([layer, { floatMs, int8Ms }]) =>
      int8Ms < floatMs ? [[layer, floatMs - int8Ms] as const] : [],
    ),
  );
  const savings = new Map<string, number>();
  const left = new Set(savedAlone.keys());
  while (left.size > 0) {
    const { groups } = integerGroups(graph, integerNodes(graph, left));
    let isStable = true;
    for (const region of regionsOf(groups)) {
      const layers = region.map(({ name }) => name).filter((name) => left.has(name));
      const saved = layers.reduce((sum, name) => sum + (savedAlone.get(name) ?? 0), 0);
      const net = saved - edgeElements(graph, region, types) * conversionMs;
      if (net > 0) {
        for (const name of layers) savings.set(name, ((savedAlone.get(name) ?? 0) / saved) * net);
        continue;
      }
      const least = layers.reduce(
        (a, b) => ((savedAlone.get(a) ?? 0) <= (savedAlone.get(b) ?? 0) ? a : b),
        layers[0] ?? '',
      );
      left.delete(least);
      isStable = false;
    }
    const found = new Set(groups.map(({ name }) => name));
    for (const name of left) if (!found.has(name)) left.delete(name);
    if (isStable) break;
    savings.clear();
  }
  return savings;
}

/** Groups that hand codes to each other. */
function regionsOf(groups: readonly IntegerGroup[]): IntegerGroup[][] {
  const makers = new Map(groups.flatMap((group, i) => group.outputs.map((name) => [name, i] as const)));
  const region = groups.map((_, i) => i);
  const rootOf = (i: number): number => (region[i] === i ? i : rootOf(region[i] as number));
  for (const [i, { data }] of groups.entries()) {
    for (const name of data) {
      const maker = makers.get(name);
      if (maker !== undefined) region[rootOf(i)] = rootOf(maker);
    }
  }
  const members = new Map<number, IntegerGroup[]>();
  for (const [i, group] of groups.entries()) members.set(rootOf(i), [...(members.get(rootOf(i)) ?? []), group]);
  return [...members.values()];
}

/** Elements of what comes in as float32, and of what is read as float32. */
function edgeElements(graph: Graph, region: readonly IntegerGroup[], types: Types): number {
  const { consumers, isOutput } = indexGraph(graph);
  const inside = new Set(region.flatMap(({ node, activation }) => [node, ...(activation ? [activation.node] : [])]));
  const made = new Set(region.flatMap(({ outputs }) => outputs));
  const read = new Set(region.flatMap(({ data }) => data));
  const coming = [...read].filter((name) => !made.has(name) && !graph.initializers.has(name));
  const going = region
    .flatMap(({ outputs, givesCodes }) => (givesCodes ? outputs : []))
    .filter((name) => isOutput.has(name) || consumers.get(name)?.some((reader) => !inside.has(reader)));
  return [...coming, ...going].reduce((sum, name) => sum + elementCount((types.get(name)?.shape ?? []).map(Number)), 0);
}
