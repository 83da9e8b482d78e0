/** Model -> ONNX protobuf bytes. All tensors are written as raw_data, or where a writer for them is given beside the model. */
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import {
  type AttributeProto,
  AttributeProtoSchema,
  AttributeProto_AttributeType as AttributeType,
  type GraphProto,
  GraphProtoSchema,
  ModelProtoSchema,
  type NodeProto,
  NodeProtoSchema,
  OperatorSetIdProtoSchema,
  SparseTensorProtoSchema,
  StringStringEntryProtoSchema,
  TensorAnnotationSchema,
  type TensorProto,
  TensorProto_DataLocation,
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
import { withExtra } from './extra.ts';
import type { ExternalReference } from './read.ts';

/** Puts a constant beside the model and says where; undefined leaves it inside. */
export type WriteExternal = (constant: Constant) => ExternalReference | undefined;

/** Encodes a model. The same model always gives the same bytes. */
export function writeModel(model: Model, external: WriteExternal = () => undefined): Uint8Array {
  const proto = withExtra(ModelProtoSchema, model.extra);
  proto.irVersion = BigInt(model.irVersion);
  proto.producerName = model.producer;
  proto.opsetImport = [...model.opsets].map(([domain, version]) =>
    create(OperatorSetIdProtoSchema, { domain, version: BigInt(version) }),
  );
  proto.metadataProps = stringEntries(model.metadata);
  proto.graph = graphProto(model.graph, external);
  return toBinary(ModelProtoSchema, proto);
}

function stringEntries(entries: Iterable<readonly [string, string]>) {
  return [...entries].map(([key, value]) => create(StringStringEntryProtoSchema, { key, value }));
}

function graphProto(graph: Graph, external: WriteExternal): GraphProto {
  const proto = withExtra(GraphProtoSchema, graph.extra);
  const hasDefault = ({ name }: ValueInfo) => graph.initializers.has(name) || graph.sparse.has(name);
  proto.name = graph.name;
  proto.input = [...graph.inputs, ...graph.overridable.filter(hasDefault)].map(valueInfoProto);
  proto.output = graph.outputs.map(valueInfoProto);
  proto.node = graph.nodes.map((node) => nodeProto(node, external));
  proto.initializer = [...graph.initializers].map(([name, constant]) => tensorProto(constant, name, external));
  proto.sparseInitializer = [...graph.sparse.values()].map((bytes) => fromBinary(SparseTensorProtoSchema, bytes));
  proto.valueInfo = [...graph.values.values()].map(valueInfoProto);
  proto.quantizationAnnotation = [...graph.annotations.values()].map((bytes) =>
    fromBinary(TensorAnnotationSchema, bytes),
  );
  return proto;
}

function nodeProto(node: Node, external: WriteExternal): NodeProto {
  const proto = withExtra(NodeProtoSchema, node.extra);
  proto.opType = node.op;
  proto.domain = node.domain;
  proto.name = node.name;
  proto.input = node.inputs;
  proto.output = node.outputs;
  proto.attribute = [...node.attributes].map(([name, attribute]) => attributeProto(name, attribute, external));
  return proto;
}

function attributeProto(name: string, attribute: Attribute, external: WriteExternal): AttributeProto {
  const proto = Object.assign(withExtra(AttributeProtoSchema, attribute.extra), { name });
  switch (attribute.type) {
    case 'float':
      return Object.assign(proto, { type: AttributeType.FLOAT, f: attribute.value });
    case 'int':
      return Object.assign(proto, { type: AttributeType.INT, i: attribute.value });
    case 'string':
      return Object.assign(proto, { type: AttributeType.STRING, s: attribute.value });
    case 'tensor':
      return Object.assign(proto, { type: AttributeType.TENSOR, t: tensorProto(attribute.value, '', external) });
    case 'graph':
      return Object.assign(proto, { type: AttributeType.GRAPH, g: graphProto(attribute.value, external) });
    case 'floats':
      return Object.assign(proto, { type: AttributeType.FLOATS, floats: attribute.value });
    case 'ints':
      return Object.assign(proto, { type: AttributeType.INTS, ints: attribute.value });
    case 'strings':
      return Object.assign(proto, { type: AttributeType.STRINGS, strings: attribute.value });
    case 'tensors':
      return Object.assign(proto, {
        type: AttributeType.TENSORS,
        tensors: attribute.value.map((tensor) => tensorProto(tensor, '', external)),
      });
    case 'graphs':
      return Object.assign(proto, {
        type: AttributeType.GRAPHS,
        graphs: attribute.value.map((graph) => graphProto(graph, external)),
      });
    case 'opaque':
      return fromBinary(AttributeProtoSchema, attribute.value);
    default:
      return attribute satisfies never;
  }
}

function tensorProto(constant: Constant, name: string, external: WriteExternal): TensorProto {
  const proto = withExtra(TensorProtoSchema, constant.extra);
  proto.name = name;
  proto.dataType = ELEMENT_TYPES.indexOf(constant.elementType);
  proto.dims = constant.shape.map(BigInt);
  if (constant.strings) {
    proto.stringData = constant.strings.map(ownBytes);
    return proto;
  }
  const reference = external(constant);
  if (reference) {
    const { location, offset, length = constant.bytes.byteLength } = reference;
    proto.dataLocation = TensorProto_DataLocation.EXTERNAL;
    proto.externalData = stringEntries(Object.entries({ location, offset: `${offset}`, length: `${length}` }));
  } else {
    proto.rawData = ownBytes(constant.bytes);
  }
  return proto;
}

function valueInfoProto(value: ValueInfo): ValueInfoProto {
  const proto = withExtra(ValueInfoProtoSchema, value.extra);
  proto.name = value.name;
  // Outputs of a subgraph may stand without a type.
  const isTyped = value.opaque !== undefined || value.elementType !== 'undefined';
  if (isTyped) proto.type = typeProto(value);
  return proto;
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
