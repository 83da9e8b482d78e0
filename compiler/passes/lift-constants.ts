/** Constant nodes become initializers, so that every later pass finds weights in one place. */
import type { Attribute, Constant, Graph } from '../graph/graph.ts';
import { constantOf, isStandard } from '../graph/graph.ts';

export function liftConstants(graph: Graph): boolean {
  const lifted = new Set<string>();
  for (const node of graph.nodes) {
    if (!isStandard(node, 'Constant')) continue;
    const [output] = node.outputs;
    const value = constantValue(node.attributes);
    if (output === undefined || value === undefined) continue;
    graph.initializers.set(output, value);
    lifted.add(output);
  }
  graph.nodes = graph.nodes.filter((node) => !(isStandard(node, 'Constant') && lifted.has(node.outputs[0] ?? '')));
  return lifted.size > 0;
}

/** The value of a Constant node in any of its spellings (`value`, `value_float(s)`, `value_int(s)`); strings stay nodes. */
function constantValue(attributes: ReadonlyMap<string, Attribute>): Constant | undefined {
  const value = attributes.get('value');
  if (value?.type === 'tensor') return value.value;
  const float = attributes.get('value_float');
  if (float?.type === 'float') {
    return constantOf({ dtype: 'float32', shape: [], data: Float32Array.of(float.value) });
  }
  const floats = attributes.get('value_floats');
  if (floats?.type === 'floats') {
    return constantOf({ dtype: 'float32', shape: [floats.value.length], data: Float32Array.from(floats.value) });
  }
  const int = attributes.get('value_int');
  if (int?.type === 'int') return constantOf({ dtype: 'int64', shape: [], data: BigInt64Array.of(int.value) });
  const ints = attributes.get('value_ints');
  if (ints?.type === 'ints') {
    return constantOf({ dtype: 'int64', shape: [ints.value.length], data: BigInt64Array.from(ints.value) });
  }
  return undefined;
}
