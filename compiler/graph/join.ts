/**
 * Several models in a row as one: each eats what the one before it gave, reshaped on the way. Names of a part's values
 * get its prefix, so that two parts may use the same ones.
 */
import { TandemError } from '../../shared/errors.ts';
import { float32, type Tensor, tensor } from '../../shared/tensor.ts';
import { constantOf, type Graph, int, type Model, makeGraph, makeNode } from './graph.ts';
import { type Names, renameNode } from './rename.ts';

/** What is done to a tensor between two models. */
export type JoinStep =
  | { readonly type: 'affine'; readonly scale: number; readonly offset: number }
  | { readonly type: 'reshape'; readonly shape: readonly number[] }
  /** `count` slices of axis 0, `length` long and `step` apart, along a new axis in front. */
  | { readonly type: 'windows'; readonly length: number; readonly step: number; readonly count: number };

/** A model of one input and one output, and what its input is made with from what comes before. */
export interface JoinPart {
  readonly prefix: string;
  readonly model: Model;
  readonly feed: readonly JoinStep[];
}

/** Names of the whole's input and output, both float32, and the input's shape. */
export interface JoinEnds {
  readonly input: string;
  readonly shape: readonly number[];
  readonly output: string;
}

/**
 * Functions that a part defines are not carried: a runtime will say that it does not know them.
 * @throws UNSUPPORTED for parts of several inputs or outputs, of different operator sets, or with sparse weights
 */
export function joinModels(parts: readonly JoinPart[], { input, shape, output }: JoinEnds): Model {
  const graph = makeGraph({
    inputs: [{ name: input, elementType: 'float32', shape }],
    outputs: [{ name: output, elementType: 'float32', shape: null }],
    nodes: [],
  });
  const opsets = new Map<string, number>();
  let live = input;
  for (const [i, part] of parts.entries()) {
    addOpsets(opsets, part);
    for (const [s, step] of part.feed.entries()) live = addStep(graph, step, live, `${part.prefix}/feed.${s}`);
    live = addPart(graph, part, live, i === parts.length - 1 ? output : undefined);
  }
  const irVersion = Math.max(...parts.map(({ model }) => model.irVersion));
  return { graph, irVersion, opsets, producer: 'tandem', metadata: new Map() };
}

function addOpsets(opsets: Map<string, number>, { prefix, model }: JoinPart): void {
  for (const [domain, version] of model.opsets) {
    const known = opsets.get(domain) ?? version;
    if (known !== version) {
      const name = domain || 'ai.onnx';
      throw new TandemError('UNSUPPORTED', `${prefix} uses ${name} ${version}, the models before it ${known}`);
    }
    opsets.set(domain, version);
  }
}

/** Appends what makes `made` of `from`. */
function addStep(graph: Graph, step: JoinStep, from: string, made: string): string {
  const constant = (suffix: string, value: Tensor) => {
    graph.initializers.set(`${made}.${suffix}`, constantOf(value));
    return `${made}.${suffix}`;
  };
  const scalar = (suffix: string, value: number) => constant(suffix, float32([], Float32Array.of(value)));
  switch (step.type) {
    case 'affine':
      graph.nodes.push(
        makeNode('Mul', [from, scalar('scale', step.scale)], [`${made}.scaled`]),
        makeNode('Add', [`${made}.scaled`, scalar('offset', step.offset)], [made]),
      );
      return made;
    case 'reshape':
      graph.nodes.push(makeNode('Reshape', [from, constant('shape', int64s([step.shape.length], step.shape))], [made]));
      return made;
    case 'windows': {
      const rows = Array.from({ length: step.count * step.length }, (_, i) => {
        const window = Math.floor(i / step.length);
        return window * step.step + (i % step.length);
      });
      const indices = constant('rows', int64s([step.count, step.length], rows));
      graph.nodes.push(makeNode('Gather', [from, indices], [made], { axis: int(0) }));
      return made;
    }
  }
}

function int64s(shape: readonly number[], values: readonly number[]): Tensor {
  return tensor('int64', shape, BigInt64Array.from(values, BigInt));
}

/** Appends a model that reads `from`. Gives the name of what it makes: `output`, or its own with the prefix. */
function addPart(whole: Graph, { prefix, model }: JoinPart, from: string, output: string | undefined): string {
  const { graph } = model;
  const [input, result] = [graph.inputs[0]?.name, graph.outputs[0]?.name];
  const counts = [graph.inputs.length, graph.outputs.length, graph.sparse.size];
  if (String(counts) !== '1,1,0' || input === undefined || result === undefined) {
    const found = `${counts[0]} inputs, ${counts[1]} outputs, ${counts[2]} sparse weights`;
    throw new TandemError(
      'UNSUPPORTED',
      `expected ${prefix} to have 1 input, 1 output, no sparse weights: it has ${found}`,
    );
  }
  const names: Names = new Map([
    ...valueNames(graph).map((name) => [name, `${prefix}/${name}`] as const),
    [input, from],
    ...(output === undefined ? [] : [[result, output] as const]),
  ]);
  const renamed = (name: string) => names.get(name) ?? name;
  for (const node of graph.nodes) {
    const copy = renameNode(node, names);
    whole.nodes.push({ ...copy, name: `${prefix}/${node.name}` });
  }
  for (const [name, constant] of graph.initializers) whole.initializers.set(renamed(name), constant);
  return renamed(result);
}

function valueNames({ nodes, initializers }: Graph): string[] {
  return [...nodes.flatMap(({ outputs }) => outputs).filter((name) => name !== ''), ...initializers.keys()];
}
