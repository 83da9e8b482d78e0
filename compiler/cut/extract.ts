/**
 * Cuts a graph into a chain of segments at given boundaries. What depends on a boundary runs after it, all else before
 * it. Constants go along with every segment that reads them. Unlike onnx.utils.extract_model it follows what the bodies
 * of If, Loop and Scan capture, and refuses a boundary that does not separate the graph, naming what is missing.
 */
import { TandemError } from '../../shared/errors.ts';
import type { KnownDims } from '../graph/dims.ts';
import { type Graph, type Node, usedValues } from '../graph/graph.ts';
import { type Flow, flowOf, isDynamic, isNoTensor, isShapeOf, nodesBehind } from './flow.ts';
import { remakeShape } from './recompute.ts';
import { nameMaker, segmentMaker } from './segment-graph.ts';

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
   * needed behind it, of tensors that do not cross it, and that nothing known of what crosses determines.
   */
  readonly boundaries: readonly (readonly string[])[];
}

/**
 * @param cuts tensor names of boundaries 1..K-1, shallow to deep; a graph input that is read late is named as well
 * @param dims what is known of dimensions, by which shapes are made anew behind a boundary; without it they are all sent
 * @returns K segments in chain order
 * @throws BAD_CUT for a name that is no value to cut at, or a boundary that does not separate the graph
 */
export function extractChain(
  graph: Graph,
  cuts: readonly (readonly string[])[],
  dims: KnownDims = new Map(),
): ExtractedChain {
  const flow = flowOf(graph);
  const last = cuts.length;
  const shapes = cuts.map(() => new Set<string>());
  const places = placeNodes(flow, cuts);
  const cutting = { flow, places, shapes, dims, segment: segmentMaker(graph), newName: nameMaker(graph) };
  const segments: ExtractedSegment[] = [];
  // From the last to the first: what a segment needs of shapes, those before it must give.
  for (let index = last; index >= 0; index--) {
    const given = new Set(index === 0 ? flow.inputs : cuts[index - 1]);
    const wanted = new Set([
      ...(cuts[index] ?? []),
      ...(shapes[index] ?? []),
      ...outputsMadeAt(flow, places, index, last),
    ]);
    segments.unshift(extractSegment(cutting, { index, given, wanted: [...wanted].filter((name) => !given.has(name)) }));
  }
  // All that a segment gave may have been a shape: then it goes on giving it.
  if (dims.size > 0 && segments.some(({ outputs }) => outputs.length === 0)) return extractChain(graph, cuts);
  const outputNames = graph.outputs.map(({ name }) => name);
  const inner = cuts.map((cut, i) => [...cut, ...(shapes[i] ?? [])]);
  return { segments, boundaries: [graph.inputs.map(({ name }) => name), ...inner, outputNames] };
}

/** What all segments of a chain share. */
interface Cutting {
  readonly flow: Flow;
  readonly places: ReadonlyMap<Node, number>;
  /** Shapes that boundaries 1..K-1 carry so far. */
  readonly shapes: readonly Set<string>[];
  readonly dims: KnownDims;
  readonly segment: ReturnType<typeof segmentMaker>;
  readonly newName: (stem: string) => string;
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
  const used = new Set(places.values());
  for (let index = 0; index <= cuts.length; index++) {
    if (!used.has(index)) {
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
}

function extractSegment(cutting: Cutting, { index, given, wanted }: SegmentRequest): ExtractedSegment {
  const { flow, shapes, segment } = cutting;
  const { producer } = flow;
  const nodes = new Set<Node>();
  const read = new Set<string>();
  const constants = new Set<string>();
  /** Shapes of tensors that are not here. */
  const absent = new Map<string, Node>();
  const pending = [...wanted];
  while (pending.length > 0) {
    const name = pending.pop() as string;
    const node = producer.get(name);
    if (given.has(name)) read.add(name);
    else if (isDynamic(flow, name) && !isHere(cutting, name, index, given)) throw missing(index, name, wanted);
    else if (!node) constants.add(name);
    else if (!nodes.has(node)) {
      const source = shapeSource(flow, node);
      if (source !== undefined && !isHere(cutting, source, index, given)) absent.set(name, node);
      else {
        nodes.add(node);
        pending.push(...usedValues(node));
      }
    }
  }
  const added: Node[] = [];
  const place = { ...cutting, nodes, wanted: new Set(wanted), given: [...given] };
  for (const [name, node] of absent) {
    const remade = remakeShape(flow, node, place);
    added.push(...(remade?.nodes ?? []));
    for (const tensor of remade?.reads ?? []) read.add(tensor);
    if (remade) continue;
    // It comes with the boundary: from the segment before this one, which has it, makes it anew, or asks further up.
    shapes[index - 1]?.add(name);
    if (flow.readers.get(name)?.some((reader) => nodes.has(reader))) read.add(name);
  }
  const sent = index === 0 ? undefined : shapes[index - 1];
  const inputs = [...new Set([...given, ...read])].filter((name) => read.has(name));
  const outputs = wanted.filter((name) => !sent?.has(name));
  return { inputs, outputs, graph: segment({ index, inputs, outputs, nodes, added, constants }) };
}

/** The tensor whose shape a node reads, where that is data. */
function shapeSource(flow: Flow, node: Node): string | undefined {
  const [source] = node.inputs;
  return isShapeOf(node) && source !== undefined && isDynamic(flow, source) ? source : undefined;
}

function isHere({ flow, places }: Cutting, name: string, index: number, given: ReadonlySet<string>): boolean {
  const maker = flow.producer.get(name);
  return given.has(name) || (maker !== undefined && (places.get(maker) ?? 0) === index);
}
