/**
 * A segment that computes in float16, for GPUs: half the weights and about twice the speed there. Its inputs and outputs keep
 * their types: a boundary means the same whoever makes it. CPUs have few kernels of float16, and gain nothing.
 */
import { TandemError } from '../../shared/errors.ts';
import type { Runtime } from '../../shared/runtime.ts';
import {
  cloneGraph,
  cloneNode,
  constantOf,
  floatConstant,
  freshNames,
  type Graph,
  int,
  isStandard,
  type Model,
  makeNode,
  type Node,
  subgraphs,
} from '../graph/graph.ts';
import { inferTypes } from '../graph/infer.ts';
import { removeDeadCode } from '../passes/dead-code.ts';
import { FLOAT16_MAX, float16Bits } from './float16.ts';

/** The least value above 0. */
const FLOAT16_MIN = 2 ** -24;
/** TensorProto.DataType. */
const [FLOAT32, FLOAT16] = [1, 10];

/**
 * Operators that go on computing in float32, between Casts: those that have no float16 by the standard, or not in all its
 * versions; those that make values of a type named in an attribute; integer arithmetic and its scales; and those that sum
 * over much or square, so that they leave float16's range though what they are given and what comes of it are small.
 */
const KEPT = new Set([
  ...['Range', 'Upsample', 'NonMaxSuppression', 'MelWeightMatrix', 'STFT', 'DFT', 'Multinomial', 'CumSum', 'RoiAlign'],
  ...[
    'ConstantOfShape',
    'EyeLike',
    'RandomUniform',
    'RandomNormal',
    'RandomUniformLike',
    'RandomNormalLike',
    'Bernoulli',
  ],
  ...['QuantizeLinear', 'DequantizeLinear', 'DynamicQuantizeLinear', 'QLinearConv', 'QLinearMatMul', 'ConvInteger'],
  ...[
    'MatMulInteger',
    'Pow',
    'Exp',
    'ReduceSum',
    'ReduceSumSquare',
    'ReduceMean',
    'ReduceProd',
    'ReduceL1',
    'ReduceL2',
  ],
  ...['ReduceLogSum', 'ReduceLogSumExp', 'LpNormalization', 'LpPool', 'GlobalLpPool', 'MeanVarianceNormalization'],
]);

/** Inputs that stay float32 by the standard though the data is float16: the region and scales of Resize. */
const FLOAT32_INPUTS: Readonly<Record<string, readonly number[]>> = { Resize: [1, 2] };

/**
 * Rewrites a segment in place. Constants beyond float16's range become the largest value it has, and none becomes 0.
 * What no data flows into (shapes, weights made of stored codes) is computed as before and cast.
 * @param runtime infers the types of values; it loads the model as it is, without rewriting it
 * @throws UNSUPPORTED for graphs with bodies (If, Loop, Scan), which may hold anything; BAD_MODEL
 */
export async function toFloat16(model: Model, runtime: Runtime): Promise<void> {
  const { graph } = model;
  if (!canBeFloat16(graph)) {
    throw new TandemError('UNSUPPORTED', `${graph.name} has a body (If, Loop, Scan), which float16 does not reach`);
  }
  const isFloat = await floatValues(model, runtime);
  const still = stillNodes(graph);
  const values = castingValues(graph);
  for (const node of graph.nodes) {
    if (still.has(node) || isKept(node)) {
      for (const name of node.inputs) if (isFloat(name)) values.full(name);
      values.nodes.push(node);
      continue;
    }
    const exempt = FLOAT32_INPUTS[node.op] ?? [];
    const inputs = node.inputs.map((name, i) => {
      if (!isFloat(name)) return name;
      return exempt.includes(i) ? values.full(name) : values.half(name);
    });
    const outputs = node.outputs.map((name) => (isFloat(name) ? values.makeHalf(name) : name));
    const rewritten = { ...cloneNode(node), inputs, outputs };
    if (isStandard(node, 'Cast') && outputs[0] !== node.outputs[0]) rewritten.attributes.set('to', int(FLOAT16));
    values.nodes.push(rewritten);
  }
  for (const { name } of graph.outputs) if (isFloat(name)) values.full(name);
  graph.nodes = values.nodes;
  // What was inferred or said of inner values is of names that may be gone.
  graph.values = new Map();
  removeDeadCode(graph);
}

/** Bodies (If, Loop, Scan) may hold anything. */
export function canBeFloat16({ nodes }: Graph): boolean {
  return nodes.every((node) => subgraphs(node).length === 0);
}

async function floatValues(model: Model, runtime: Runtime): Promise<(name: string) => boolean> {
  const copy = { ...model, graph: { ...cloneGraph(model.graph), values: new Map() } };
  await inferTypes(copy, runtime);
  const { initializers, inputs, values } = copy.graph;
  const given = new Map(inputs.map(({ name, elementType }) => [name, elementType]));
  return (name) =>
    (initializers.get(name)?.elementType ?? given.get(name) ?? values.get(name)?.elementType) === 'float32';
}

/** Nodes that no data flows into: of constants and shapes alone. */
function stillNodes({ nodes, initializers, sparse }: Graph): ReadonlySet<Node> {
  const values = new Set(['', ...initializers.keys(), ...sparse.keys()]);
  const still = new Set<Node>();
  for (const node of nodes) {
    const isShape = isStandard(node, 'Shape') || isStandard(node, 'Size');
    if (!isShape && !node.inputs.every((name) => values.has(name))) continue;
    for (const name of node.outputs) values.add(name);
    // A shape is no float: it can be read of either form of its tensor, and one need not be made for it.
    if (!isShape) still.add(node);
  }
  return still;
}

/** Operators of other domains may take anything; sequences and optionals hold what is not tracked here. */
function isKept(node: Node): boolean {
  return KEPT.has(node.op) || !isStandard(node, node.op) || /Sequence|Optional/.test(node.op);
}

interface CastingValues {
  /** So far, Casts among them. */
  readonly nodes: Node[];
  /** The name of a value in float32, which is its own, and in float16. */
  full(name: string): string;
  half(name: string): string;
  /** The name of a value that a node gives in float16. */
  makeHalf(name: string): string;
}

/** Casts each value at most once each way, where it is first asked for. */
function castingValues(graph: Graph): CastingValues {
  const fresh = freshNames(graph);
  const nodes: Node[] = [];
  const halves = new Map<string, string>();
  /** Made in float16, and not cast back yet. */
  const onlyHalf = new Set<string>();
  const newHalf = (name: string) => {
    const half = fresh(`${name}.float16`);
    halves.set(name, half);
    return half;
  };
  return {
    nodes,
    full(name) {
      if (onlyHalf.delete(name)) nodes.push(castNode(halves.get(name) ?? '', name, FLOAT32));
      return name;
    },
    half(name) {
      const known = halves.get(name);
      if (known !== undefined) return known;
      const half = newHalf(name);
      const constant = floatConstant(graph, name);
      if (constant) {
        const data = float16Bits(constant.data.map(withinRange));
        graph.initializers.set(half, constantOf({ dtype: 'float16', shape: constant.shape, data }));
      } else {
        nodes.push(castNode(name, half, FLOAT16));
      }
      return half;
    },
    makeHalf(name) {
      onlyHalf.add(name);
      return newHalf(name);
    },
  };
}

/** Without a name: that of what it makes may be the name of the node that made it before. */
function castNode(from: string, to: string, type: number): Node {
  return { ...makeNode('Cast', [from], [to], { to: int(type) }), name: '' };
}

function withinRange(value: number): number {
  if (value === 0) return value;
  const size = Math.min(FLOAT16_MAX, Math.max(FLOAT16_MIN, Math.abs(value)));
  return value < 0 ? -size : size;
}
