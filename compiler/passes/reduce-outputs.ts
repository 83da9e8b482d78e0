/**
 * Replaces a model's outputs by what a client needs of them: the best class and its score instead of a score for every
 * class. Not part of `simplify`: it changes what the model gives, and is asked for by name in the model's recipe.
 */
import { TandemError } from '../../shared/errors.ts';
import { constantOf, freshName, type Graph, int, ints, makeNode, type ValueInfo } from '../graph/graph.ts';
import { verifyGraph } from '../graph/verify.ts';

export interface OutputReduction {
  /** Name of the new output. */
  readonly name: string;
  /** The output that it is made of. */
  readonly of: string;
  /** `argmax` gives int32, `max` float32; both without the reduced axis. */
  readonly op: 'argmax' | 'max';
  readonly axis: number;
}

/**
 * @param opset version of the standard operator set that the model imports
 * @throws BAD_MODEL where the graph has no such output
 */
export function reduceOutputs(graph: Graph, reductions: readonly OutputReduction[], opset: number): void {
  if (reductions.length === 0) return;
  graph.outputs = reductions.map((reduction) => reduceOutput(graph, reduction, opset));
  verifyGraph(graph, 'after reducing outputs');
}

function reduceOutput(graph: Graph, { name, of, op, axis }: OutputReduction, opset: number): ValueInfo {
  if (!graph.nodes.some((node) => node.outputs.includes(of))) {
    throw new TandemError('BAD_MODEL', `there is no output ${of} to reduce`);
  }
  if (op === 'max') {
    graph.nodes.push(reduceMax(graph, { name, of, axis }, opset));
    return { name, elementType: 'float32', shape: null };
  }
  const index = freshName(graph, `${name}.int64`);
  graph.nodes.push(
    makeNode('ArgMax', [of], [index], { axis: int(axis), keepdims: int(0) }),
    // Half the bytes, and a typed array that every browser handles.
    makeNode('Cast', [index], [name], { to: int(6) }),
  );
  return { name, elementType: 'int32', shape: null };
}

/** The axes moved from an attribute to an input in opset 18. */
function reduceMax(graph: Graph, { name, of, axis }: Omit<OutputReduction, 'op'>, opset: number) {
  if (opset < 18) return makeNode('ReduceMax', [of], [name], { axes: ints([axis]), keepdims: int(0) });
  const axes = freshName(graph, `${name}.axes`);
  graph.initializers.set(axes, constantOf({ dtype: 'int64', shape: [1], data: BigInt64Array.of(BigInt(axis)) }));
  return makeNode('ReduceMax', [of, axes], [name], { keepdims: int(0) });
}
