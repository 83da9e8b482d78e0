/**
 * What a layer takes on a target in float and in integers, timed alone: its inputs and outputs are of the type it computes
 * with, so that what turns one into the other is not counted; layers in a row pay for that once. Layers that look alike are
 * timed once.
 */
import type { Runtime, Session } from '../../shared/runtime.ts';
import { elementCount, type Tensors } from '../../shared/tensor.ts';
import type { ValueRange } from '../compress/activation-ranges.ts';
import { layersOf } from '../compress/layers.ts';
import { toMatMulNBits } from '../compress/matmul-nbits.ts';
import { quantizedModel } from '../compress/quantize-nodes.ts';
import type { Types } from '../graph/cost.ts';
import {
  cloneGraph,
  cloneNode,
  constantOf,
  type Graph,
  type Model,
  makeGraph,
  makeNode,
  type Node,
} from '../graph/graph.ts';
import { writeModel } from '../onnx/write.ts';
import type { Progress } from '../progress.ts';

export interface LayerTimes {
  readonly floatMs: number;
  /** Infinite where it has no integer kernel. */
  readonly int8Ms: number;
  /** With its weight unpacked by the kernel; infinite where that is not a product with a matrix. */
  readonly nbits4Ms: number;
}

/** Runs of each layer and form: some to get warm (V8 compiles hot WebAssembly anew), and those that count. */
const ROUNDS = { warmUp: 12, counted: 16 } as const;

/**
 * @param types of the model's values, at the size that is timed
 * @returns by layer
 */
export async function timeLayers(
  model: Model,
  types: Types,
  place: Runtime,
  now: () => number,
  progress: Progress,
): Promise<Map<string, LayerTimes>> {
  const alone = new Map<string, Alone>();
  for (const layer of layersOf(model.graph)) {
    const key = signature(model.graph, layer.node, types);
    const known = alone.get(key);
    if (known) {
      known.layers.push(layer.name);
      continue;
    }
    const float = layerAlone(model, layer.node, types);
    if (!float) continue;
    const [int8, nbits4] = [inIntegers(float), inBlocks(float)];
    const load = async (one: Model) => ({ session: await place.load(writeModel(one)), feeds: feedsOf(one), ms: [] });
    alone.set(key, {
      ...{ layers: [layer.name], float: await load(float) },
      ...{ int8: int8 && (await load(int8)), nbits4: nbits4 && (await load(nbits4)) },
    });
  }
  const timed = [...alone.values()].flatMap(({ float, int8, nbits4 }) => [float, int8 ?? [], nbits4 ?? []].flat());
  const { warmUp, counted } = ROUNDS;
  for (let round = 0; round < warmUp + counted; round++) {
    progress({ stage: 'timing layers', done: round, total: warmUp + counted });
    // The order turns round each time.
    for (const one of round % 2 === 0 ? timed : [...timed].reverse()) {
      const ms = await runTimed(one, now);
      if (round >= warmUp) one.ms.push(ms);
    }
  }
  await Promise.all(timed.map(({ session }) => session.release()));
  return new Map(
    [...alone.values()].flatMap(({ layers, float, int8, nbits4 }) => {
      const msOf = (form: Timed | undefined) => (form ? middle(form.ms) : Number.POSITIVE_INFINITY);
      const times = { floatMs: msOf(float), int8Ms: msOf(int8), nbits4Ms: msOf(nbits4) };
      return layers.map((name) => [name, times] as const);
    }),
  );
}

/** Layers that look alike, and the forms that one of them is timed in. */
interface Alone {
  readonly layers: string[];
  readonly float: Timed;
  readonly int8: Timed | undefined;
  readonly nbits4: Timed | undefined;
}

/** Elements that the conversion is timed on. */
const CONVERTED = 2 ** 18;

/** Milliseconds that one element takes from float32 into a code or back. */
export async function conversionTime(place: Runtime, now: () => number): Promise<number> {
  const graph = makeGraph({
    inputs: [{ name: 'x', elementType: 'float32', shape: [CONVERTED] }],
    outputs: [{ name: 'y', elementType: 'float32', shape: [CONVERTED] }],
    nodes: [
      makeNode('QuantizeLinear', ['x', 'scale', 'zero'], ['q']),
      makeNode('DequantizeLinear', ['q', 'scale', 'zero'], ['y']),
    ],
    initializers: new Map([
      ['scale', constantOf({ dtype: 'float32', shape: [], data: Float32Array.of(0.01) })],
      ['zero', constantOf({ dtype: 'uint8', shape: [], data: Uint8Array.of(128) })],
    ]),
  });
  const model = {
    graph,
    irVersion: 8,
    opsets: new Map([['', 13]]),
    producer: 'tandem',
    metadata: new Map<string, string>(),
  };
  const timed: Timed = { session: await place.load(writeModel(model)), feeds: feedsOf(model), ms: [] };
  for (let round = 0; round < ROUNDS.warmUp + ROUNDS.counted; round++) {
    const ms = await runTimed(timed, now);
    if (round >= ROUNDS.warmUp) timed.ms.push(ms);
  }
  await timed.session.release();
  return middle(timed.ms) / (2 * CONVERTED);
}

interface Timed {
  readonly session: Session;
  readonly feeds: Tensors;
  readonly ms: number[];
}

async function runTimed({ session, feeds }: Timed, now: () => number): Promise<number> {
  if (session.runTimed) return (await session.runTimed(feeds)).ms;
  const start = now();
  await session.run(feeds);
  return now() - start;
}

/** The mean of the middle half: a browser's clock ticks too rarely for a median. */
function middle(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const kept = sorted.slice(Math.floor(sorted.length / 4), Math.ceil((sorted.length * 3) / 4));
  return kept.reduce((sum, value) => sum + value, 0) / Math.max(1, kept.length);
}

/** The layer as a model of its own; undefined where its shapes are not known. */
function layerAlone(model: Model, node: Node, types: Types): Model | undefined {
  const { graph } = model;
  const [input = ''] = node.inputs;
  const [output = ''] = node.outputs;
  const [from, to] = [types.get(input), types.get(output)];
  if (!from?.shape || !to?.shape) return undefined;
  const initializers = new Map(
    node.inputs.slice(1).flatMap((name) => {
      const constant = graph.initializers.get(name);
      return constant ? [[name, constant] as const] : [];
    }),
  );
  return {
    ...model,
    graph: makeGraph({ inputs: [from], outputs: [to], nodes: [cloneNode(node)], initializers }),
  };
}

/** The same on codes: what turns float32 into codes and back is cut off. */
function inIntegers(alone: Model): Model | undefined {
  const { graph } = alone;
  const [from, to] = [graph.inputs[0]?.name ?? '', graph.outputs[0]?.name ?? ''];
  const range: ValueRange = { low: -1, high: 1 };
  const { model, quantized } = quantizedModel(alone, {
    ...{ nodes: new Set([to]), granularity: 'channel' },
    ranges: new Map([
      [from, range],
      [to, range],
    ]),
  });
  if (quantized.length === 0) return undefined;
  const nodes = [...model.graph.nodes];
  const first = nodes.find(({ op, inputs }) => op === 'QuantizeLinear' && inputs[0] === from);
  const last = nodes.find(({ op, outputs }) => op === 'DequantizeLinear' && outputs[0] === to);
  if (!first) return undefined;
  const codes = (name: string, of: Graph['inputs'][number] | undefined) => ({
    ...{ name, elementType: 'uint8' as const, shape: of?.shape ?? null },
  });
  return {
    ...model,
    graph: {
      ...model.graph,
      inputs: [codes(first.outputs[0] ?? '', graph.inputs[0])],
      outputs: last ? [codes(last.inputs[0] ?? '', graph.outputs[0])] : model.graph.outputs,
      nodes: nodes.filter((node) => node !== first && node !== last),
    },
  };
}

/** The same on a weight of 4 bits; undefined for what is no product with a matrix. */
function inBlocks(alone: Model): Model | undefined {
  const model = { ...alone, graph: cloneGraph(alone.graph), opsets: new Map(alone.opsets) };
  return toMatMulNBits(model).length > 0 ? model : undefined;
}

function feedsOf({ graph }: Model): Tensors {
  return Object.fromEntries(
    graph.inputs.map(({ name, elementType, shape }) => {
      const dims = (shape ?? []).map(Number);
      const count = elementCount(dims);
      const data =
        elementType === 'uint8'
          ? Uint8Array.from({ length: count }, (_, i) => (i * 37) % 256)
          : Float32Array.from({ length: count }, (_, i) => Math.sin(i));
      return [name, { dtype: elementType, shape: dims, data }];
    }),
  ) as Tensors;
}

/** Layers of one signature take the same time. */
function signature(graph: Graph, node: Node, types: Types): string {
  const attributes = [...node.attributes].map(([name, { value }]) => [
    name,
    value instanceof Uint8Array ? [...value] : value,
  ]);
  const shapes = node.inputs.map((name) => graph.initializers.get(name)?.shape ?? types.get(name)?.shape ?? name);
  return JSON.stringify([node.op, shapes, attributes], (_, value) =>
    typeof value === 'bigint' ? Number(value) : value,
  );
}
