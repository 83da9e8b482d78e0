/**
 * What is known of the dimensions of values: numbers, and symbols that stand for one number in one run. Two dimensions of
 * one symbol are equal in every legal run on inputs that are not empty. Each open dimension of an input is a symbol of its
 * own, whatever the file calls it: runtimes do not check that inputs agree. Each that nothing explains is a new one.
 *
 * Nothing is taken on trust from the file but the numbers of its inputs, which runtimes do check. Rules of our own follow
 * symbols further than runtimes do, which lose them at the first Conv or computed Reshape; where no rule knows an
 * operator the runtime is asked, which is told neither what the file says of inner values nor of nodes with bodies.
 */
import type { Runtime } from '../../shared/runtime.ts';
import { loadModel } from '../onnx/load.ts';
import type { DimsOf, KnownDim, MaybeDim } from './dim-algebra.ts';
import { dimsByRule } from './dim-rules.ts';
import {
  type Constant,
  constantTensor,
  type Graph,
  type Model,
  type Node,
  subgraphs,
  type ValueInfo,
} from './graph.ts';
import { valuesByRule } from './shape-values.ts';

/** Dimensions of each value whose rank is known. */
export type KnownDims = ReadonlyMap<string, readonly KnownDim[]>;

/** Elements up to which a vector may be (part of) a shape. */
const SHAPE_ELEMENTS_MAX = 64;
/** From here on operators broadcast as they do now. */
const OPSET_MIN = 7;

/**
 * @param model with its inner types inferred
 * @param runtime loads the model as it is, without rewriting it; where it cannot, the rules stand alone
 */
export async function knownDims(model: Model, runtime: Runtime): Promise<KnownDims> {
  if ((model.opsets.get('') ?? 0) < OPSET_MIN) return new Map();
  const { graph } = model;
  const symbols = new Symbols();
  const dims = new Map<string, readonly KnownDim[]>();
  const values = new Map<string, readonly MaybeDim[]>();
  for (const { name, shape } of graph.inputs) {
    if (shape)
      dims.set(
        name,
        shape.map((dim) => (typeof dim === 'number' && dim >= 0 ? dim : symbols.next())),
      );
  }
  const told = await toldDims(model, dims, runtime);
  for (const [name, constant] of graph.initializers) {
    dims.set(name, constant.shape);
    const itsValues = shapeValues(constant);
    if (itsValues) values.set(name, itsValues);
  }
  const known: DimsOf = {
    dims: (name) => dims.get(name),
    values: (name) => values.get(name),
    symbolOf: (key) => symbols.of(key),
  };
  for (const node of graph.nodes) {
    const byRule = isPlain(node) ? dimsByRule(node, known) : [];
    for (const [i, name] of node.outputs.entries()) {
      const found = name === '' ? undefined : agreed(byRule[i], told.get(name));
      if (found)
        dims.set(
          name,
          found.map((dim) => dim ?? symbols.next()),
        );
    }
    const [output = ''] = node.outputs;
    const itsValues = isPlain(node) ? valuesByRule(node, known) : undefined;
    // Of more axes than one, their order would have to be known too.
    const isVector = (dims.get(output)?.length ?? 2) < 2;
    if (itsValues && isVector && itsValues.length <= SHAPE_ELEMENTS_MAX) values.set(output, itsValues);
  }
  return dims;
}

/** Numbers that contradict one another are no numbers, and ranks that do are none. */
function agreed(a: readonly MaybeDim[] | undefined, b: readonly MaybeDim[] | undefined): MaybeDim[] | undefined {
  if (!a || !b) return (a ?? b)?.slice();
  if (a.length !== b.length) return undefined;
  return a.map((dim, i) => {
    const other = b[i] ?? null;
    if (typeof dim === 'number' && typeof other === 'number') return dim === other ? dim : null;
    return typeof other === 'number' ? other : (dim ?? other);
  });
}

/** An operator of ONNX itself, without a body: its rules are written down. */
function isPlain(node: Node): boolean {
  return (node.domain === '' || node.domain === 'ai.onnx') && subgraphs(node).length === 0;
}

/** Elements of a constant that is a scalar or small vector of integers. */
export function shapeValues(constant: Constant): number[] | undefined {
  const { elementType, shape } = constant;
  if ((elementType !== 'int64' && elementType !== 'int32') || shape.length > 1) return undefined;
  if ((shape[0] ?? 1) > SHAPE_ELEMENTS_MAX) return undefined;
  return Array.from(constantTensor(constant).data as Iterable<number | bigint>, Number);
}

class Symbols {
  private count = 0;
  private readonly byKey = new Map<string, string>();

  next(): string {
    return `?${this.count++}`;
  }

  /** The same symbol for the same key. */
  of(key: string): string {
    const symbol = this.byKey.get(key) ?? this.next();
    this.byKey.set(key, symbol);
    return symbol;
  }
}

/** What the runtime infers, of numbers and of the symbols that inputs have here. */
async function toldDims(model: Model, inputs: KnownDims, runtime: Runtime): Promise<Map<string, readonly MaybeDim[]>> {
  const told = new Map<string, readonly MaybeDim[]>();
  const graph = withoutHints(model.graph, inputs);
  if (!graph) return told;
  const symbols = new Set([...inputs.values()].flat());
  try {
    const session = await loadModel(runtime, { ...model, graph });
    for (const { name, elementType, shape } of session.outputTypes ?? []) {
      // A scalar and a value of unknown rank look the same here.
      if (elementType === undefined || shape.length === 0) continue;
      const isKnown = (dim: MaybeDim) => (typeof dim === 'number' ? dim >= 0 : dim !== null && symbols.has(dim));
      told.set(
        name,
        shape.map((dim) => (isKnown(dim) ? dim : null)),
      );
    }
    await session.release();
  } catch {
    // An optional adviser: without it fewer dimensions are known, and more is sent.
  }
  return told;
}

/**
 * The graph with all its values as outputs, and nothing in it that a file might say wrongly. What comes of nodes with
 * bodies and of functions is given to it instead. Undefined where that has no plain type.
 */
function withoutHints(graph: Graph, dims: KnownDims): Graph | undefined {
  const inputs = graph.inputs.map(
    (input): ValueInfo => ({ ...input, shape: dims.get(input.name) ?? null, opaque: undefined, extra: undefined }),
  );
  for (const { outputs } of graph.nodes.filter((node) => !isPlain(node))) {
    for (const name of outputs.filter((output) => output !== '')) {
      inputs.push({ name, elementType: graph.values.get(name)?.elementType ?? 'undefined', shape: null });
    }
  }
  if (inputs.some(({ elementType }) => elementType === 'undefined')) return undefined;
  const nodes = graph.nodes.filter(isPlain);
  const outputs = nodes
    .flatMap((node) => node.outputs)
    .filter((name) => name !== '')
    .map((name): ValueInfo => ({ name, elementType: 'undefined', shape: null }));
  return { ...graph, inputs, overridable: [], outputs, nodes, values: new Map() };
}
