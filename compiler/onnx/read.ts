/**
 * ONNX protobuf bytes -> Model. Together with write.ts the only place that knows protobuf. Bytes of raw tensors are
 * views of the file, not copies.
 */
import { fromBinary, toBinary } from '@bufbuild/protobuf';
import {
  type AttributeProto,
  AttributeProtoSchema,
  AttributeProto_AttributeType as AttributeType,
  type GraphProto,
  ModelProtoSchema,
  type NodeProto,
  type TensorProto,
  TensorProto_DataLocation,
  type TensorShapeProto_Dimension,
  TypeProtoSchema,
  type ValueInfoProto,
} from 'onnx-buf';
import { messageOf, TandemError } from '../../shared/errors.ts';
import { elementCount } from '../../shared/tensor.ts';
import {
  type Attribute,
  type Constant,
  type Dim,
  ELEMENT_TYPES,
  type ElementType,
  type Graph,
  type Model,
  type Node,
  type ValueInfo,
} from '../graph/graph.ts';

/**
 * Reads one model file.
 * @param what how to name the file in errors
 * @throws BAD_MODEL for bytes that are no ONNX model; UNSUPPORTED for local functions, sparse initializers and
 *   weights in external files
 */
export function readModel(bytes: Uint8Array, what: string): Model {
  const proto = decode(bytes, what);
  if (!proto.graph || proto.graph.node.length === 0) {
    throw new TandemError('BAD_MODEL', `${what} is no ONNX model: expected a graph with nodes, found none`);
  }
  if (proto.functions.length > 0) throw new TandemError('UNSUPPORTED', `${what} defines local functions`);
  const opsets = new Map<string, number>();
  for (const { domain, version } of proto.opsetImport) {
    opsets.set(domain === 'ai.onnx' ? '' : domain, Number(version));
  }
  if (!opsets.has('')) throw new TandemError('BAD_MODEL', `${what} imports no version of the standard operator set`);
  return {
    graph: readGraph(proto.graph, what),
    irVersion: Number(proto.irVersion),
    opsets,
    producer: proto.producerName,
    metadata: new Map(proto.metadataProps.map(({ key, value }) => [key, value])),
  };
}

function decode(bytes: Uint8Array, what: string) {
  try {
    return fromBinary(ModelProtoSchema, bytes);
  } catch (error) {
    throw new TandemError('BAD_MODEL', `${what} is no ONNX model: ${messageOf(error)}`, { cause: error });
  }
}

function readGraph(proto: GraphProto, what: string): Graph {
  if (proto.sparseInitializer.length > 0) throw new TandemError('UNSUPPORTED', `${what} has sparse initializers`);
  const initializers = new Map<string, Constant>();
  for (const tensor of proto.initializer) {
    if (initializers.has(tensor.name)) {
      throw new TandemError('BAD_MODEL', `${what} has two initializers called ${tensor.name}`);
    }
    initializers.set(tensor.name, readTensor(tensor, what));
  }
  return {
    name: proto.name,
    // Up to IR version 3 initializers were listed as inputs too; those are not inputs to anyone.
    inputs: proto.input.filter(({ name }) => !initializers.has(name)).map(readValueInfo),
    outputs: proto.output.map(readValueInfo),
    nodes: proto.node.map((node) => readNode(node, what)),
    initializers,
    values: new Map(proto.valueInfo.map((value) => [value.name, readValueInfo(value)])),
  };
}

function readNode(proto: NodeProto, what: string): Node {
  const attributes = new Map<string, Attribute>();
  for (const attribute of proto.attribute) attributes.set(attribute.name, readAttribute(attribute, what));
  return {
    op: proto.opType,
    domain: proto.domain === 'ai.onnx' ? '' : proto.domain,
    name: proto.name,
    inputs: [...proto.input],
    outputs: [...proto.output],
    attributes,
  };
}

function readAttribute(proto: AttributeProto, what: string): Attribute {
  switch (proto.type) {
    case AttributeType.FLOAT:
      return { type: 'float', value: proto.f };
    case AttributeType.INT:
      return { type: 'int', value: proto.i };
    case AttributeType.STRING:
      return { type: 'string', value: proto.s };
    case AttributeType.FLOATS:
      return { type: 'floats', value: proto.floats };
    case AttributeType.INTS:
      return { type: 'ints', value: proto.ints };
    case AttributeType.STRINGS:
      return { type: 'strings', value: proto.strings };
    case AttributeType.TENSOR:
      if (proto.t) return { type: 'tensor', value: readTensor(proto.t, what) };
      break;
    case AttributeType.TENSORS:
      return { type: 'tensors', value: proto.tensors.map((tensor) => readTensor(tensor, what)) };
    case AttributeType.GRAPH:
      if (proto.g) return { type: 'graph', value: readGraph(proto.g, what) };
      break;
    case AttributeType.GRAPHS:
      return { type: 'graphs', value: proto.graphs.map((graph) => readGraph(graph, what)) };
    default:
      return { type: 'opaque', value: toBinary(AttributeProtoSchema, proto) };
  }
  throw new TandemError('BAD_MODEL', `${what}: attribute ${proto.name} has a type but no value of it`);
}

function readValueInfo(proto: ValueInfoProto): ValueInfo {
  const value = proto.type?.value;
  if (value?.case !== 'tensorType') {
    const opaque = proto.type && { opaque: toBinary(TypeProtoSchema, proto.type) };
    return { name: proto.name, elementType: 'undefined', shape: null, ...opaque };
  }
  const { elemType, shape } = value.value;
  return { name: proto.name, elementType: elementTypeOf(elemType), shape: shape?.dim.map(readDim) ?? null };
}

function readDim({ value }: TensorShapeProto_Dimension): Dim {
  if (value.case === 'dimValue') return Number(value.value);
  return value.case === 'dimParam' && value.value !== '' ? value.value : null;
}

function elementTypeOf(dataType: number): ElementType {
  return ELEMENT_TYPES[dataType] ?? 'undefined';
}

function readTensor(proto: TensorProto, what: string): Constant {
  if (proto.dataLocation === TensorProto_DataLocation.EXTERNAL) {
    throw new TandemError('UNSUPPORTED', `${what} keeps the weights of ${proto.name} in an external file`);
  }
  const elementType = elementTypeOf(proto.dataType);
  const shape = proto.dims.map(Number);
  if (elementType === 'undefined') {
    throw new TandemError('BAD_MODEL', `${what}: tensor ${proto.name} has the unknown data type ${proto.dataType}`);
  }
  if (elementType === 'string') {
    if (proto.stringData.length !== elementCount(shape)) {
      throw new TandemError(
        'BAD_MODEL',
        `${what}: tensor ${proto.name} of shape [${shape}] has ${proto.stringData.length} strings`,
      );
    }
    return { elementType, shape, bytes: new Uint8Array(), strings: proto.stringData };
  }
  const bytes = proto.rawData.length > 0 ? proto.rawData : typedBytes(proto, elementType);
  const expected = constantByteLength(elementType, shape);
  if (bytes.byteLength !== expected) {
    throw new TandemError(
      'BAD_MODEL',
      `${what}: tensor ${proto.name} of type ${elementType} and shape [${shape}] takes ${expected} bytes, has ${bytes.byteLength}`,
    );
  }
  return { elementType, shape, bytes };
}

/** Bits of one element as raw_data packs them. */
const ELEMENT_BITS: Partial<Record<ElementType, number>> = {
  ...{ float32: 32, float64: 64, float16: 16, bfloat16: 16, complex64: 64, complex128: 128 },
  ...{ int8: 8, uint8: 8, int16: 16, uint16: 16, int32: 32, uint32: 32, int64: 64, uint64: 64, bool: 8 },
  ...{ float8e4m3fn: 8, float8e4m3fnuz: 8, float8e5m2: 8, float8e5m2fnuz: 8, float8e8m0: 8 },
  ...{ int4: 4, uint4: 4, float4e2m1: 4, int2: 2, uint2: 2 },
};

function constantByteLength(elementType: ElementType, shape: readonly number[]): number {
  return Math.ceil((elementCount(shape) * (ELEMENT_BITS[elementType] ?? 0)) / 8);
}

/** The raw bytes of a tensor whose values stand in one of the typed fields (TensorProto.float_data and its kin). */
function typedBytes(proto: TensorProto, elementType: ElementType): Uint8Array {
  switch (elementType) {
    case 'float32':
    case 'complex64':
      return bytesOf(Float32Array.from(proto.floatData));
    case 'float64':
    case 'complex128':
      return bytesOf(Float64Array.from(proto.doubleData));
    case 'int64':
      return bytesOf(BigInt64Array.from(proto.int64Data));
    case 'uint64':
      return bytesOf(BigUint64Array.from(proto.uint64Data));
    case 'uint32':
      return bytesOf(Uint32Array.from(proto.uint64Data, Number));
    case 'int32':
      return bytesOf(Int32Array.from(proto.int32Data));
    case 'int16':
    case 'uint16':
    case 'float16':
    case 'bfloat16':
      return bytesOf(Uint16Array.from(proto.int32Data));
    default:
      // 8-bit and packed 4-bit types: one byte an int32.
      return Uint8Array.from(proto.int32Data);
  }
}

function bytesOf(array: ArrayBufferView): Uint8Array {
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
}
