import { readFileSync } from 'node:fs';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import {
  AttributeProtoSchema,
  AttributeProto_AttributeType as AttributeType,
  ModelProtoSchema,
  TypeProtoSchema,
} from 'onnx-buf';
import * as ort from 'onnxruntime-node';
import { describe, expect, test } from 'vitest';
import type { Attribute, Constant, Graph, Model } from '../../../compiler/graph/graph.ts';
import { readModel } from '../../../compiler/onnx/read.ts';
import { writeModel } from '../../../compiler/onnx/write.ts';
import { nodeRuntime } from '../../../runtimes/onnxruntime-node.ts';
import { seededRandom } from '../../../shared/random.ts';
import { float32, type Tensors, tensor } from '../../../shared/tensor.ts';
import { tinyModelBytes } from '../../helpers/tiny-model.ts';
import { expectClose, modelOf, REAL_MODEL, runModel } from '../run-graph.ts';
import { floats, graphOf, randomTensor } from '../text-graph.ts';

const again = (model: Model) => readModel(writeModel(model), 'what was written');
const bytes = (text: string) => new TextEncoder().encode(text);

describe('writing a model', () => {
  test('keeps all of a real network', () => {
    const model = readModel(tinyModelBytes(), 'tiny.onnx');
    expect(model.graph.nodes).toHaveLength(38);
    expect(again(model)).toEqual(model);
  });

  test('keeps a graph with every kind of value', () => {
    const graph = graphOf(`
      in x [batch,3]
      const w [2,2]
      y = Clip(x, -, 3)
      out y`);
    graph.inputs.push({ name: 'unknown', elementType: 'int64', shape: [null, 'n', 4] });
    graph.inputs.push({ name: 'scalar', elementType: 'bool', shape: [] });
    graph.values.set('rankless', { name: 'rankless', elementType: 'float16', shape: null });
    const strings = [bytes('a'), bytes(''), bytes('ü')];
    graph.initializers.set('s', { elementType: 'string', shape: [3], bytes: new Uint8Array(), strings });
    graph.initializers.set('packed', { elementType: 'int4', shape: [3], bytes: Uint8Array.of(0x21, 0x03) });
    graph.nodes.push({
      op: 'Fused',
      domain: 'com.custom',
      name: 'n',
      inputs: ['y'],
      outputs: ['z'],
      attributes: new Map(),
    });
    const model: Model = {
      graph,
      irVersion: 10,
      opsets: new Map([
        ['', 17],
        ['com.custom', 2],
      ]),
      producer: 'someone',
      metadata: new Map([['key', 'value']]),
    };
    expect(again(model)).toEqual(model);
  });

  test('keeps attributes of every kind, subgraphs and those it does not know included', () => {
    const body = graphOf('const c [2] = 1 2\nb = Add(c, captured)\nout b');
    const type = create(AttributeProtoSchema, { name: 'opaque', type: AttributeType.TYPE_PROTO });
    type.tp = create(TypeProtoSchema, { denotation: 'kept' });
    const tensors: Constant[] = [floats([2], [1, 2]), floats([], [3])];
    const attributes: Record<string, Attribute> = {
      float: { type: 'float', value: 0.5 },
      int: { type: 'int', value: -(2n ** 63n) },
      string: { type: 'string', value: bytes('SAME_UPPER') },
      tensor: { type: 'tensor', value: floats([1, 2], [3, 4]) },
      graph: { type: 'graph', value: body },
      floats: { type: 'floats', value: [1, -2, 0.25] },
      ints: { type: 'ints', value: [1n, -1n] },
      strings: { type: 'strings', value: [bytes('a'), bytes('')] },
      tensors: { type: 'tensors', value: tensors },
      graphs: { type: 'graphs', value: [body, graphOf('out x')] },
      opaque: { type: 'opaque', value: toBinary(AttributeProtoSchema, type) },
    };
    const graph = graphOf('in x [2]\ny = Everything(x)\nout y');
    for (const [name, value] of Object.entries(attributes)) graph.nodes[0]?.attributes.set(name, value);
    const { attributes: kept } = again(modelOf(graph)).graph.nodes[0] as Graph['nodes'][number];
    expect(Object.fromEntries(kept)).toEqual(attributes);
  });

  test('keeps the types of values that are no tensors', () => {
    const elemType = create(TypeProtoSchema, { value: { case: 'tensorType', value: { elemType: 1 } } });
    const sequence = create(TypeProtoSchema, { value: { case: 'sequenceType', value: { elemType } } });
    const model = modelOf(graphOf('in x [1]\ny = SequenceConstruct(x)'));
    model.graph.outputs.push({
      name: 'y',
      elementType: 'undefined',
      shape: null,
      opaque: toBinary(TypeProtoSchema, sequence),
    });
    expect(again(model)).toEqual(model);
  });

  test('gives the same bytes for the same model', () => {
    const model = readModel(tinyModelBytes(), 'tiny.onnx');
    expect(Buffer.from(writeModel(model))).toEqual(Buffer.from(tinyModelBytes()));
  });
});

describe('a model that was read and written', () => {
  test('gives identical outputs, where it is the one that users run', async () => {
    const source = readFileSync(REAL_MODEL);
    const input = { x: randomTensor([1, 3, 48, 64], seededRandom(5)) };
    const run = async (model: Uint8Array) => (await nodeRuntime(ort, { threads: 1 }).load(model)).run(input);
    const expected = await run(source);
    const actual = await run(writeModel(readModel(source, 'real')));
    expect(Object.keys(actual)).toEqual(['softmax_11.tmp_0']);
    expect(bytesOf(actual).equals(bytesOf(expected))).toBe(true);
  });

  test('still runs where initializers were inputs too, as in IR version 3', async () => {
    const source = writeModel({
      ...modelOf(graphOf('in x [2]\nin w [2]\nconst w [2] = 2 3\ny = Mul(x, w)\nout y')),
      irVersion: 3,
    });
    const written = writeModel(readModel(source, 'old.onnx'));
    const { y } = await runModel(written, { x: float32([2], Float32Array.of(1, 10)) });
    expect(y?.data).toEqual(Float32Array.of(2, 30));
  });

  test('runs either branch of an If', async () => {
    const model = again(modelOf(branchingGraph()));
    expectClose(await runModel(writeModel(model), branchFeeds(1)), { y: float32([2], Float32Array.of(1, 0)) }, 0);
    expectClose(await runModel(writeModel(model), branchFeeds(0)), { y: float32([2], Float32Array.of(-1, 2)) }, 0);
  });

  test('runs a subgraph whose outputs have no type, as ONNX allows', async () => {
    const source = withoutBranchTypes(writeModel(modelOf(branchingGraph())));
    const model = writeModel(readModel(source, 'untyped.onnx'));
    expectClose(await runModel(model, branchFeeds(0)), { y: float32([2], Float32Array.of(-1, 2)) }, 0);
  });
});

/** The file without the types of the If's own outputs. */
function withoutBranchTypes(bytes: Uint8Array): Uint8Array {
  const proto = fromBinary(ModelProtoSchema, bytes);
  for (const { g } of proto.graph?.node[1]?.attribute ?? []) for (const output of g?.output ?? []) delete output.type;
  return toBinary(ModelProtoSchema, proto);
}

/** y = if c then relu(x) else -x. */
function branchingGraph(): Graph {
  const graph = graphOf('in x [2]\nin c [1]\nb = Cast(c) to=9\ny = If(b)\nout y');
  for (const [branch, op] of [
    ['then_branch', 'Relu'],
    ['else_branch', 'Neg'],
  ] as const) {
    const value = graphOf(`${branch} = ${op}(x)`);
    value.outputs.push({ name: branch, elementType: 'float32', shape: null });
    graph.nodes[1]?.attributes.set(branch, { type: 'graph', value });
  }
  return graph;
}

function branchFeeds(c: number): Tensors {
  return { x: float32([2], Float32Array.of(1, -2)), c: tensor('float32', [1], Float32Array.of(c)) };
}

function bytesOf(outputs: Tensors): Buffer {
  return Buffer.concat(
    Object.values(outputs).map(({ data }) => Buffer.from(data.buffer, data.byteOffset, data.byteLength)),
  );
}
