/** Model -> ONNX protobuf bytes. All tensors are written as raw_data. */
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import {
  type AttributeProto,
  AttributeProtoSchema,
  AttributeProto_AttributeType as AttributeType,
  type GraphProto,
  GraphProtoSchema,
  ModelProtoSchema,
  NodeProtoSchema,
  type TensorProto,
  TensorProtoSchema,
  type TypeProto,
  TypeProtoSchema,
  type ValueInfoProto,
  ValueInfoProtoSchema,
} from 'onnx-buf';
import {
  type Attribute,
  type Constant,
  type Dim,
  ELEMENT_TYPES,
  type Graph,
  type Model,
  type Node,
  type ValueInfo,
} from '../graph/graph.ts';

/** Encodes a model. The same model always gives the same bytes. */
export function writeModel(model: Model): Uint8Array {
  return toBinary(
    ModelProtoSchema,
    create(ModelProtoSchema, {
      irVersion: BigInt(model.irVersion),
      producerName: model.producer,
      opsetImport: [...model.opsets].map(([domain, version]) => ({ domain, version: BigInt(version) })),
      metadataProps: [...model.metadata].map(([key, value]) => ({ key, value })),
      graph: graphProto(model.graph),
    }),
  );
}

function graphProto(graph: Graph): GraphProto {
  return create(GraphProtoSchema, {
    name: graph.name,
    input: graph.inputs.map(valueInfoProto),
    output: graph.outputs.map(valueInfoProto),
    node: graph.nodes.map(nodeProto),
    initializer: [...graph.initializers].map(([name, constant]) => tensorProto(constant, name)),
    valueInfo: [...graph.values.values()].map(valueInfoProto),
  });
}

function nodeProto(node: Node) {
  return create(NodeProtoSchema, {
    opType: node.op,
    domain: node.domain,
    name: node.name,
    input: node.inputs,
    output: node.outputs,
    attribute: [...node.attributes].map(([name, attribute]) => attributeProto(name, attribute)),
  });
}

function attributeProto(name: string, attribute: Attribute): AttributeProto {
  const proto = create(AttributeProtoSchema, { name });
  switch (attribute.type) {
    case 'float':
      return Object.assign(proto, { type: AttributeType.FLOAT, f: attribute.value });
    case 'int':
      return Object.assign(proto, { type: AttributeType.INT, i: attribute.value });
    case 'string':
      return Object.assign(proto, { type: AttributeType.STRING, s: attribute.value });
    case 'tensor':
      return Object.assign(proto, { type: AttributeType.TENSOR, t: tensorProto(attribute.value) });
    case 'graph':
      return Object.assign(proto, { type: AttributeType.GRAPH, g: graphProto(attribute.value) });
    case 'floats':
      return Object.assign(proto, { type: AttributeType.FLOATS, floats: attribute.value });
    case 'ints':
      return Object.assign(proto, { type: AttributeType.INTS, ints: attribute.value });
    case 'strings':
      return Object.assign(proto, { type: AttributeType.STRINGS, strings: attribute.value });
    case 'tensors':
      return Object.assign(proto, {
        type: AttributeType.TENSORS,
        tensors: attribute.value.map((tensor) => tensorProto(tensor)),
      });
    case 'graphs':
      return Object.assign(proto, { type: AttributeType.GRAPHS, graphs: attribute.value.map(graphProto) });
    case 'opaque':
      return fromBinary(AttributeProtoSchema, attribute.value);
    default:
      return attribute satisfies never;
  }
}

function tensorProto(constant: Constant, name = ''): TensorProto {
  return create(TensorProtoSchema, {
    name,
    dataType: ELEMENT_TYPES.indexOf(constant.elementType),
    dims: constant.shape.map(BigInt),
    ...(constant.strings ? { stringData: constant.strings.map(ownBytes) } : { rawData: ownBytes(constant.bytes) }),
  });
}

function valueInfoProto(value: ValueInfo): ValueInfoProto {
  // Outputs of a subgraph may stand without a type.
  const isTyped = value.opaque !== undefined || value.elementType !== 'undefined';
  return create(ValueInfoProtoSchema, { name: value.name, ...(isTyped && { type: typeProto(value) }) });
}

function typeProto(value: ValueInfo): TypeProto {
  if (value.opaque) return fromBinary(TypeProtoSchema, value.opaque);
  return create(TypeProtoSchema, {
    value: {
      case: 'tensorType',
      value: {
        elemType: ELEMENT_TYPES.indexOf(value.elementType),
        ...(value.shape && { shape: { dim: value.shape.map(dimProto) } }),
      },
    },
  });
}

function dimProto(dim: Dim) {
  if (typeof dim === 'number') return { value: { case: 'dimValue' as const, value: BigInt(dim) } };
  return dim === null ? {} : { value: { case: 'dimParam' as const, value: dim } };
}

/** protobuf-es takes only views of a plain ArrayBuffer; ours always are, but the type does not say so. */
function ownBytes(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  return bytes.buffer instanceof ArrayBuffer ? (bytes as Uint8Array<ArrayBuffer>) : Uint8Array.from(bytes);
}
