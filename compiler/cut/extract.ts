/**
 * Cuts a graph into a chain of segments at given boundaries. What depends on a boundary runs after it, all else before
 * it. Constants go along with every segment that reads them. Unlike onnx.utils.extract_model it follows what the bodies
 * of If, Loop and Scan capture, and refuses a boundary that does not separate the graph, naming what is missing.
 */
import { TandemError } from '../../shared/errors.ts';
import { cloneNode, type Graph, makeGraph, type Node, usedValues, type ValueInfo } from '../graph/graph.ts';
import { type Flow, flowOf, isDynamic, isNoTensor, isShapeOf, nodesBehind } from './flow.ts';

/** One segment: a graph from boundary k-1 to boundary k. */
export interface ExtractedSegment {
  readonly graph: Graph;
  /** What the segment itself reads and makes; a tensor that only passes by is in neither. */
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
}

export interface ExtractedChain {
  readonly segments: readonly ExtractedSegment[];
  /**
   * Names of boundaries 0..K. Besides the cut's own tensors a boundary may carry shapes, as int64 vectors: those that are
   * needed behind it and of tensors that do not cross it.
   */
  readonly boundaries: readonly (readonly string[])[];
}

/**
 * @param cuts tensor names of boundaries 1..K-1, shallow to deep; a graph input that is read late is named as well
 * @returns K segments in chain order
 * @throws BAD_CUT for a name that is no value to cut at, or a boundary that does not separate the graph
 */
export function extractChain(graph: Graph, cuts: readonly (readonly string[])[]): ExtractedChain {
  const flow = flowOf(graph);
  const last = cuts.length;
  const places = placeNodes(flow, cuts);
  const shapes = cuts.map(() => new Set<string>());
  const segments: ExtractedSegment[] = [];
  // From the last to the first: what a segment needs of shapes, those before it must give.
  for (let index = last; index >= 0; index--) {
    const given = new Set(index === 0 ? flow.inputs : [...(cuts[index - 1] ?? []), ...(shapes[index - 1] ?? [])]);
    const wanted = new Set([
      ...(cuts[index] ?? []),
      ...(shapes[index] ?? []),
      ...outputsMadeAt(flow, places, index, last),
    ]);
    const request: SegmentRequest = {
      index,
      given,
      wanted: [...wanted].filter((name) => !given.has(name)),
      shapes,
      cuts,
    };
    segments.unshift(extractSegment(flow, places, request));
  }
  const outputNames = graph.outputs.map(({ name }) => name);
  const inner = cuts.map((cut, i) => [...cut, ...[...(shapes[i] ?? [])].filter((name) => !cut.includes(name))]);
  return { segments, boundaries: [graph.inputs.map(({ name }) => name), ...inner, outputNames] };
}

/** Which segment each dynamic node runs in: 0-based. Checks every cut on the way. */
function placeNodes(flow: Flow, cuts: readonly (readonly string[])[]): Map<Node, number> {
  const places = new Map<Node, number>();
  for (const [node, kind] of flow.kind) if (kind === 'dynamic') places.set(node, 0);
  for (const [i, cut] of cuts.entries()) {
    checkNames(flow, cut, i + 1);
    const after = nodesBehind(flow, cut);
    for (const node of after) {
      if (flow.kind.get(node) !== 'dynamic') continue;
      const absent = (flow.reads.get(node) ?? []).find((name) => !isGiven(flow, name, cut, after));
      if (absent !== undefined) throw missing(i + 1, absent, node.outputs);
      if (places.get(node) !== i) throw outOfOrder(cuts, i, node);
      places.set(node, i + 1);
    }
  }
  for (let index = 0; index <= cuts.length; index++) {
    if (![...places.values()].includes(index)) {
      const nothing = `segment ${index + 1} would have nothing to do`;
      throw new TandemError('BAD_CUT', `${nothing}: boundary ${index + 1} is all in the one before`);
    }
  }
  return places;
}

function checkNames(flow: Flow, cut: readonly string[], k: number): void {
  for (const name of cut) {
    if (isNoTensor(flow, name)) throw new TandemError('BAD_CUT', `boundary ${k} lists ${name}, which is no tensor`);
    if (isDynamic(flow, name)) continue;
    const what = flow.producer.has(name)
      ? 'is computed from constants and shapes alone'
      : 'is none that an output depends on';
    throw new TandemError(
      'BAD_CUT',
      `there is no inner value called ${name} to cut at: boundary ${k} lists it, and it ${what}`,
    );
  }
}

/** Whether a node behind the cut can read a value: it crosses, is made there, or is no data. */
function isGiven(flow: Flow, name: string, cut: readonly string[], after: ReadonlySet<Node>): boolean {
  if (cut.includes(name) || !isDynamic(flow, name)) return true;
  const maker = flow.producer.get(name);
  return maker !== undefined && after.has(maker);
}

function missing(k: number, name: string, wanted: readonly string[]): TandemError {
  return new TandemError(
    'BAD_CUT',
    `boundary ${k} does not separate the graph: ${name} is needed after it as well, to make [${wanted}]; ` +
      `cut where ${name} is part of the boundary, or elsewhere`,
  );
}

function outOfOrder(cuts: readonly (readonly string[])[], i: number, node: Node): TandemError {
  return new TandemError(
    'BAD_CUT',
    `boundary ${i + 1} [${cuts[i]}] is not behind boundary ${i} [${cuts[i - 1]}]: ${node.outputs[0]} is made before that`,
  );
}

/** Outputs leave the chain where they are made, those that are no data at its end; an input that is one is there already. */
function outputsMadeAt(
  { graph, producer, inputs }: Flow,
  places: ReadonlyMap<Node, number>,
  index: number,
  last: number,
) {
  return graph.outputs
    .map(({ name }) => name)
    .filter((name) => !inputs.has(name))
    .filter((name) => (places.get(producer.get(name) as Node) ?? last) === index);
}

interface SegmentRequest {
  /** 0-based place in the chain. */
  readonly index: number;
  readonly given: ReadonlySet<string>;
  readonly wanted: readonly string[];
  /** Shapes that boundaries 1..K-1 carry so far. */
  readonly shapes: readonly Set<string>[];
  readonly cuts: readonly (readonly string[])[];
}

function extractSegment(flow: Flow, places: ReadonlyMap<Node, number>, request: SegmentRequest): ExtractedSegment {
  const { graph, producer } = flow;
  const { index, given, wanted, shapes } = request;
  const needed = new Set<Node>();
  const read = new Set<string>();
  const constants = new Set<string>();
  const pending = [...wanted];
  while (pending.length > 0) {
    const name = pending.pop() as string;
    const node = producer.get(name);
    if (given.has(name)) read.add(name);
    else if (isDynamic(flow, name) && !isHere(flow, places, name, index, given)) throw missing(index, name, wanted);
    else if (!node) constants.add(name);
    else if (!needed.has(node)) {
      const source = shapeSource(flow, node);
      if (source !== undefined && !isHere(flow, places, source, index, given)) {
        // The shape of a tensor that is not here comes with the boundary, from the segment that has the tensor.
        for (let k = placeOf(flow, places, source); k < index; k++) shapes[k]?.add(name);
        read.add(name);
      } else {
        needed.add(node);
        pending.push(...usedValues(node));
      }
    }
  }
  const inputs = [...new Set([...given, ...read])].filter((name) => read.has(name));
  return { inputs, outputs: wanted, graph: segmentGraph(graph, index, { inputs, wanted, needed, constants }) };
}

/** The tensor whose shape a node reads, where that is data. */
function shapeSource(flow: Flow, node: Node): string | undefined {
  const [source] = node.inputs;
  return isShapeOf(node) && source !== undefined && isDynamic(flow, source) ? source : undefined;
}

function placeOf({ producer }: Flow, places: ReadonlyMap<Node, number>, name: string): number {
  return places.get(producer.get(name) as Node) ?? 0;
}

function isHere(
  flow: Flow,
  places: ReadonlyMap<Node, number>,
  name: string,
  index: number,
  given: ReadonlySet<string>,
): boolean {
  return given.has(name) || (flow.producer.has(name) && placeOf(flow, places, name) === index);
}

interface SegmentParts {
  readonly inputs: readonly string[];
  readonly wanted: readonly string[];
  readonly needed: ReadonlySet<Node>;
  readonly constants: ReadonlySet<string>;
}

function segmentGraph(graph: Graph, index: number, { inputs, wanted, needed, constants }: SegmentParts): Graph {
  const nodes = graph.nodes.filter((node) => needed.has(node));
  const present = new Set([...inputs, ...constants, ...nodes.flatMap((node) => node.outputs)]);
  const only = <T>(map: ReadonlyMap<string, T>) => new Map([...map].filter(([name]) => present.has(name)));
  return makeGraph({
    name: `${graph.name}.${index + 1}`,
    inputs: inputs.map((name) => valueInfo(graph, name)),
    outputs: wanted.map((name) => valueInfo(graph, name)),
    nodes: nodes.map(cloneNode),
    initializers: only(graph.initializers),
    sparse: only(graph.sparse),
    annotations: only(graph.annotations),
    extra: graph.extra,
  });
}

/**
 * Type of a value at a segment's edge. Float32 unless the file or the operator says otherwise. Of inner values no shape:
 * a runtime takes those of a file for hints, but those of a segment's inputs for law.
 */
function valueInfo(graph: Graph, name: string): ValueInfo {
  const outer = [...graph.inputs, ...graph.outputs].find((value) => value.name === name);
  const known = outer ?? graph.values.get(name);
  if (outer && outer.elementType !== 'undefined') return outer;
  if (known && known.elementType !== 'undefined') return { name, elementType: known.elementType, shape: null };
  const isShape = graph.nodes.some((node) => isShapeOf(node) && node.outputs[0] === name);
  return known?.opaque ? known : { name, elementType: isShape ? 'int64' : 'float32', shape: null };
}
