/**
 * ONNX protobuf bytes -> Model. Together with its neighbours the only place that knows protobuf. Bytes of raw tensors
 * are views of the file, not copies.
 */
import { fromBinary, isFieldSet, toBinary } from '@bufbuild/protobuf';
import {
  type AttributeProto,
  AttributeProtoSchema,
  AttributeProto_AttributeType as AttributeType,
  type GraphProto,
  GraphProtoSchema,
  ModelProtoSchema,
  type NodeProto,
  NodeProtoSchema,
  SparseTensorProtoSchema,
  TensorAnnotationSchema,
  type TensorProto,
  TensorProto_DataLocation,
  TensorProtoSchema,
  type TensorShapeProto_Dimension,
  type TypeProto,
  TypeProtoSchema,
  type ValueInfoProto,
  ValueInfoProtoSchema,
} from 'onnx-buf';
import { messageOf, TandemError } from '../../shared/errors.ts';
import { elementCount } from '../../shared/tensor.ts';
import {
  type Attribute,
  type AttributeValue,
  byteLengthOf,
  type Constant,
  type Dim,
  ELEMENT_TYPES,
  type ElementType,
  type Graph,
  type Model,
  type Node,
  type ValueInfo,
} from '../graph/graph.ts';
import { sortNodes } from '../graph/sort.ts';
import {
  ATTRIBUTE_FIELDS,
  extraOf,
  GRAPH_FIELDS,
  MODEL_FIELDS,
  NODE_FIELDS,
  TENSOR_FIELDS,
  VALUE_FIELDS,
} from './extra.ts';

/** Where a tensor's bytes are that the model file does not hold: TensorProto.external_data. */
export interface ExternalReference {
  /** Path relative to the model's folder, as the file says it: not to be trusted. */
  readonly location: string;
  readonly offset: number;
  /** undefined: to the file's end. */
  readonly length: number | undefined;
}

export type ReadExternal = (reference: ExternalReference) => Uint8Array;

/**
 * Reads one model.
 * @param what how to name the file in errors
 * @param external reads bytes of the files beside the model; without it a model that needs them is refused
 * @throws BAD_MODEL for bytes that are no ONNX model; UNSUPPORTED for external data where it cannot be read
 */
export function readModel(bytes: Uint8Array, what: string, external?: ReadExternal): Model {
  const proto = decode(bytes, what);
  if (!proto.graph || proto.graph.output.length === 0) {
    throw new TandemError('BAD_MODEL', `${what} is no ONNX model: expected a graph with outputs, found none`);
  }
  const opsets = new Map<string, number>();
  for (const { domain, version } of proto.opsetImport) opsets.set(plainDomain(domain), Number(version));
  if (opsets.size === 0) throw new TandemError('BAD_MODEL', `${what} imports no operator set`);
  const source: Source = { what, external: external ?? refuseExternal(what) };
  const model: Model = {
    graph: readGraph(proto.graph, source),
    irVersion: Number(proto.irVersion),
    opsets,
    producer: proto.producerName,
    metadata: new Map(proto.metadataProps.map(({ key, value }) => [key, value])),
    extra: extraOf(ModelProtoSchema, proto, MODEL_FIELDS),
  };
  sortNodes(model.graph, what);
  return model;
}

/** The file that is read, for errors and for what is beside it. */
interface Source {
  readonly what: string;
  readonly external: ReadExternal;
}

function refuseExternal(what: string): ReadExternal {
  return ({ location }) => {
    throw new TandemError(
      'UNSUPPORTED',
      `${what} keeps weights in ${location}: give the path of the model, not its bytes`,
    );
  };
}

/** The standard domain has two spellings. */
function plainDomain(domain: string): string {
  return domain === 'ai.onnx' ? '' : domain;
}

function decode(bytes: Uint8Array, what: string) {
  try {
    return fromBinary(ModelProtoSchema, bytes);
  } catch (error) {
    throw new TandemError('BAD_MODEL', `${what} is no ONNX model: ${messageOf(error)}`, { cause: error });
  }
}

function readGraph(proto: GraphProto, source: Source): Graph {
  const { what } = source;
  const initializers = new Map<string, Constant>();
  for (const tensor of proto.initializer) {
    if (initializers.has(tensor.name)) {
      throw new TandemError('BAD_MODEL', `${what} has two initializers called ${tensor.name}`);
    }
    initializers.set(tensor.name, readTensor(tensor, source));
  }
  const sparse = new Map(
    proto.sparseInitializer.map((tensor) => [tensor.values?.name ?? '', toBinary(SparseTensorProtoSchema, tensor)]),
  );
  const hasDefault = ({ name }: ValueInfoProto) => initializers.has(name) || sparse.has(name);
  return {
    name: proto.name,
    inputs: proto.input.filter((input) => !hasDefault(input)).map(readValueInfo),
    overridable: proto.input.filter(hasDefault).map(readValueInfo),
    outputs: proto.output.map(readValueInfo),
    nodes: proto.node.map((node) => readNode(node, source)),
    initializers,
    sparse,
    values: new Map(proto.valueInfo.map((value) => [value.name, readValueInfo(value)])),
    annotations: new Map(
      proto.quantizationAnnotation.map((annotation) => [
        annotation.tensorName,
        toBinary(TensorAnnotationSchema, annotation),
      ]),
    ),
    extra: extraOf(GraphProtoSchema, proto, GRAPH_FIELDS),
  };
}

function readNode(proto: NodeProto, source: Source): Node {
  const attributes = new Map<string, Attribute>();
  for (const attribute of proto.attribute) attributes.set(attribute.name, readAttribute(attribute, source));
  return {
    op: proto.opType,
    domain: plainDomain(proto.domain),
    name: proto.name,
    inputs: [...proto.input],
    outputs: [...proto.output],
    attributes,
    extra: extraOf(NodeProtoSchema, proto, NODE_FIELDS),
  };
}

function readAttribute(proto: AttributeProto, source: Source): Attribute {
  const value = readValue(proto, source);
  const extra = value.type === 'opaque' ? undefined : extraOf(AttributeProtoSchema, proto, ATTRIBUTE_FIELDS);
  return extra ? { ...value, extra } : value;
}

function readValue(proto: AttributeProto, source: Source): AttributeValue {
  // A function's body refers to the attributes of whoever calls it.
  if (proto.refAttrName !== '') return { type: 'opaque', value: toBinary(AttributeProtoSchema, proto) };
  switch (attributeType(proto)) {
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
      if (proto.t) return { type: 'tensor', value: readTensor(proto.t, source) };
      break;
    case AttributeType.TENSORS:
      return { type: 'tensors', value: proto.tensors.map((tensor) => readTensor(tensor, source)) };
    case AttributeType.GRAPH:
      if (proto.g) return { type: 'graph', value: readGraph(proto.g, source) };
      break;
    case AttributeType.GRAPHS:
      return { type: 'graphs', value: proto.graphs.map((graph) => readGraph(graph, source)) };
    default:
      return { type: 'opaque', value: toBinary(AttributeProtoSchema, proto) };
  }
  throw new TandemError('BAD_MODEL', `${source.what}: attribute ${proto.name} has a type but no value of it`);
}

/** Before IR version 2 the type went unsaid: then it is that of the field that is set. */
function attributeType(proto: AttributeProto): AttributeType {
  if (proto.type !== AttributeType.UNDEFINED) return proto.type;
  const { field } = AttributeProtoSchema;
  if (isFieldSet(proto, field.f)) return AttributeType.FLOAT;
  if (isFieldSet(proto, field.i)) return AttributeType.INT;
  if (isFieldSet(proto, field.s)) return AttributeType.STRING;
  if (proto.t) return AttributeType.TENSOR;
  if (proto.g) return AttributeType.GRAPH;
  if (proto.floats.length > 0) return AttributeType.FLOATS;
  if (proto.ints.length > 0) return AttributeType.INTS;
  if (proto.strings.length > 0) return AttributeType.STRINGS;
  return AttributeType.UNDEFINED;
}

function readValueInfo(proto: ValueInfoProto): ValueInfo {
  const { name, type } = proto;
  const extra = extraOf(ValueInfoProtoSchema, proto, VALUE_FIELDS);
  const opaque = type && !isPlain(type) ? toBinary(TypeProtoSchema, type) : undefined;
  const tensor = type?.value.case === 'tensorType' ? type.value.value : undefined;
  if (!tensor) return { name, elementType: 'undefined', shape: null, opaque, extra };
  return {
    name,
    elementType: elementTypeOf(tensor.elemType),
    shape: tensor.shape?.dim.map(readDim) ?? null,
    opaque,
    extra,
  };
}

/** Whether element type and shape say all of a type. */
function isPlain({ value, denotation, $unknown }: TypeProto): boolean {
  if (value.case !== 'tensorType' || denotation !== '' || $unknown) return false;
  return value.value.shape?.dim.every((dim) => dim.denotation === '') ?? true;
}

function readDim({ value }: TensorShapeProto_Dimension): Dim {
  if (value.case === 'dimValue') return Number(value.value);
  return value.case === 'dimParam' && value.value !== '' ? value.value : null;
}

function elementTypeOf(dataType: number): ElementType {
  return ELEMENT_TYPES[dataType] ?? 'undefined';
}

function readTensor(proto: TensorProto, { what, external }: Source): Constant {
  const elementType = elementTypeOf(proto.dataType);
  const shape = proto.dims.map(Number);
  const extra = extraOf(TensorProtoSchema, proto, TENSOR_FIELDS);
  if (proto.segment) throw new TandemError('UNSUPPORTED', `${what}: tensor ${proto.name} is stored in segments`);
  if (!shape.every((dim) => Number.isSafeInteger(dim) && dim >= 0) || !Number.isSafeInteger(elementCount(shape))) {
    throw new TandemError('BAD_MODEL', `${what}: tensor ${proto.name} has the absurd shape [${proto.dims}]`);
  }
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
    return { elementType, shape, bytes: new Uint8Array(), strings: proto.stringData, extra };
  }
  const bytes = storedBytes(proto, elementType, external);
  const expected = byteLengthOf(elementType, shape);
  if (bytes.byteLength !== expected) {
    throw new TandemError(
      'BAD_MODEL',
      `${what}: tensor ${proto.name} of type ${elementType} and shape [${shape}] takes ${expected} bytes, has ${bytes.byteLength}`,
    );
  }
  return { elementType, shape, bytes, extra };
}

function storedBytes(proto: TensorProto, elementType: ElementType, external: ReadExternal): Uint8Array {
  if (proto.dataLocation === TensorProto_DataLocation.EXTERNAL) return external(externalReference(proto));
  return proto.rawData.length > 0 ? proto.rawData : typedBytes(proto, elementType);
}

function externalReference({ name, externalData }: TensorProto): ExternalReference {
  const entries = new Map(externalData.map(({ key, value }) => [key, value]));
  const location = entries.get('location');
  if (!location) throw new TandemError('BAD_MODEL', `the external data of ${name} has no location`);
  const integer = (key: string): number | undefined => {
    const value = entries.get(key);
    if (value === undefined || value === '') return undefined;
    if (!/^\d{1,15}$/.test(value)) {
      throw new TandemError('BAD_MODEL', `the external data of ${name} has the ${key} ${value.slice(0, 30)}`);
    }
    return Number(value);
  };
  return { location, offset: integer('offset') ?? 0, length: integer('length') };
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

/**
 * One tensor in a file of its own, as ONNX's test data has them.
 * @throws BAD_INPUT for bytes that are no TensorProto
 */
export function readTensorFile(
  bytes: Uint8Array,
  what: string,
): { readonly name: string; readonly constant: Constant } {
  try {
    const proto = fromBinary(TensorProtoSchema, bytes);
    return { name: proto.name, constant: readTensor(proto, { what, external: refuseExternal(what) }) };
  } catch (error) {
    throw new TandemError('BAD_INPUT', `${what} holds no tensor: ${messageOf(error)}`, { cause: error });
  }
}
