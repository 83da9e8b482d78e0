import { readFileSync } from 'node:fs';
import { create, type DescMessage, type Message, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import fc from 'fast-check';
import {
  AttributeProto_AttributeType as AttributeType,
  type GraphProtoSchema,
  ModelProtoSchema,
  type NodeProtoSchema,
  TensorProto_DataLocation,
  type TensorProtoSchema,
} from 'onnx-buf';
import { describe, expect, test } from 'vitest';
import { ELEMENT_TYPES, type ElementType } from '../../../compiler/graph/graph.ts';
import { verifyGraph } from '../../../compiler/graph/verify.ts';
import { readModel } from '../../../compiler/onnx/read.ts';
import { TandemError } from '../../../shared/errors.ts';
import { tinyModelBytes } from '../../helpers/tiny-model.ts';
import { coded } from '../coded.ts';
import { REAL_MODEL } from '../run-graph.ts';

/** What `create` takes, without the messages that it would also take. */
type Fields<Schema extends DescMessage> = Exclude<MessageInitShape<Schema>, Message>;
type TensorFields = Fields<typeof TensorProtoSchema>;

const RELU: Fields<typeof NodeProtoSchema> = { opType: 'Relu', input: ['x'], output: ['y'] };

/** A file with one Relu, and what else `graph` and `model` say. */
function fileOf(graph: Fields<typeof GraphProtoSchema> = {}, model: Fields<typeof ModelProtoSchema> = {}): Uint8Array {
  const opsetImport = [{ domain: '', version: 9n }];
  return toBinary(
    ModelProtoSchema,
    create(ModelProtoSchema, {
      irVersion: 8n,
      opsetImport,
      ...model,
      graph: { node: [RELU], output: [{ name: 'y' }], ...graph },
    }),
  );
}

function readInitializer(init: TensorFields) {
  return readModel(fileOf({ initializer: [{ name: 'w', ...init }] }), 'm.onnx').graph.initializers.get('w');
}

const dataType = (elementType: ElementType) => ELEMENT_TYPES.indexOf(elementType);

describe('tensors of a file', () => {
  test.each<[ElementType, TensorFields, string]>([
    ['float32', { floatData: [1, -2] }, '0000803f000000c0'],
    ['complex64', { floatData: [1, -2, 0, 1] }, '0000803f000000c0000000000000803f'],
    ['float64', { doubleData: [1, -2] }, '000000000000f03f00000000000000c0'],
    ['complex128', { doubleData: [1, 0, 0, 0] }, `000000000000f03f${'00'.repeat(24)}`],
    ['int64', { int64Data: [1n, -2n] }, '0100000000000000feffffffffffffff'],
    ['uint64', { uint64Data: [1n, 2n ** 64n - 1n] }, '0100000000000000ffffffffffffffff'],
    ['uint32', { uint64Data: [1n, 2n ** 32n - 1n] }, '01000000ffffffff'],
    ['int32', { int32Data: [1, -2] }, '01000000feffffff'],
    ['int16', { int32Data: [1, -2] }, '0100feff'],
    ['uint16', { int32Data: [1, 65535] }, '0100ffff'],
    ['float16', { int32Data: [0x3c00, 0xc000] }, '003c00c0'],
    ['bfloat16', { int32Data: [0x3f80, 0xc000] }, '803f00c0'],
    ['int8', { int32Data: [1, -2] }, '01fe'],
    ['uint8', { int32Data: [1, 255] }, '01ff'],
    ['bool', { int32Data: [1, 0] }, '0100'],
    ['float8e4m3fn', { int32Data: [0x38, 0xc0] }, '38c0'],
    ['uint4', { int32Data: [0x21] }, '21'],
    ['int4', { int32Data: [0xf1] }, 'f1'],
    ['uint2', { int32Data: [0x0d] }, '0d'],
  ])('of type %s are read out of their typed field', (elementType, field, hex) => {
    const constant = readInitializer({ dataType: dataType(elementType), dims: [2n], ...field });
    expect(constant).toMatchObject({ elementType, shape: [2] });
    expect(Buffer.from(constant?.bytes ?? []).toString('hex')).toBe(hex);
  });

  test('are read out of raw bytes as they are', () => {
    const constant = readInitializer({
      dataType: dataType('float16'),
      dims: [1n, 2n],
      rawData: Uint8Array.of(0, 60, 0, 192),
    });
    expect(constant).toEqual({ elementType: 'float16', shape: [1, 2], bytes: Uint8Array.of(0, 60, 0, 192) });
  });

  test('may be strings, or empty', () => {
    const stringData = [Uint8Array.of(0x61), Uint8Array.of()];
    expect(readInitializer({ dataType: dataType('string'), dims: [2n], stringData })?.strings).toEqual(stringData);
    expect(readInitializer({ dataType: dataType('float32'), dims: [0n] })?.bytes).toEqual(new Uint8Array());
  });

  test.each<[string, TensorFields, string]>([
    ['too few bytes', { dataType: 1, dims: [2n], rawData: new Uint8Array(4) }, 'shape [2] takes 8 bytes, has 4'],
    ['too many bytes', { dataType: 3, dims: [], rawData: new Uint8Array(2) }, 'takes 1 bytes, has 2'],
    ['too few numbers', { dataType: 1, dims: [3n], floatData: [1, 2] }, 'takes 12 bytes, has 8'],
    ['half a byte too few', { dataType: 22, dims: [3n], rawData: new Uint8Array(1) }, 'takes 2 bytes, has 1'],
    ['a type of later ONNX versions', { dataType: 99, dims: [1n] }, 'unknown data type 99'],
    ['no type', { dims: [1n] }, 'unknown data type 0'],
  ])('with %s are refused', (_, init, message) => {
    expect(() => readInitializer(init)).toThrow(coded('BAD_MODEL', 'm.onnx: tensor w'));
    expect(() => readInitializer(init)).toThrow(message);
  });

  test('with fewer strings than their shape has elements are refused', () => {
    expect(() => readInitializer({ dataType: dataType('string'), dims: [2n], stringData: [] })).toThrow(
      coded('BAD_MODEL'),
    );
  });

  test('in an external file are not to be had of bytes alone', () => {
    const dataLocation = TensorProto_DataLocation.EXTERNAL;
    const externalData = [{ key: 'location', value: 'w.bin' }];
    expect(() => readInitializer({ dataType: 1, dims: [1n], dataLocation, externalData })).toThrow(
      coded('UNSUPPORTED', 'm.onnx keeps weights in w.bin'),
    );
    expect(() => readInitializer({ dataType: 1, dims: [1n], dataLocation })).toThrow(coded('BAD_MODEL', 'no location'));
  });

  test.each([
    ['-1', [-1n]],
    ['2 ** 62', [2n ** 62n]],
    ['2 ** 31 twice', [2n ** 31n, 2n ** 31n]],
  ])('of the absurd shape %s are refused', (_, dims) => {
    expect(() => readInitializer({ dataType: 1, dims })).toThrow(coded('BAD_MODEL', 'absurd shape'));
  });
});

describe('reading a file', () => {
  test('takes initializers out of the inputs, where old files list them too', () => {
    const { graph } = readModel(
      fileOf({
        input: [{ name: 'x' }, { name: 'w' }],
        initializer: [{ name: 'w', dataType: 1, dims: [1n], floatData: [1] }],
      }),
      'm.onnx',
    );
    expect(graph.inputs.map(({ name }) => name)).toEqual(['x']);
  });

  test("knows the standard operator set by ONNX's two names for it", () => {
    const file = fileOf(
      { node: [{ ...RELU, domain: 'ai.onnx' }] },
      { opsetImport: [{ domain: 'ai.onnx', version: 13n }] },
    );
    const { graph, opsets } = readModel(file, 'm.onnx');
    expect(opsets).toEqual(new Map([['', 13]]));
    expect(graph.nodes[0]?.domain).toBe('');
  });

  test.each<[string, Uint8Array, string]>([
    ['an empty file', new Uint8Array(), 'expected a graph with outputs, found none'],
    ['text', new TextEncoder().encode('<!doctype html><title>404</title>'), 'm.onnx is no ONNX model'],
    ['a file without a graph', toBinary(ModelProtoSchema, create(ModelProtoSchema, { irVersion: 8n })), 'found none'],
    ['no operator set', fileOf({}, { opsetImport: [] }), 'm.onnx imports no operator set'],
    [
      'two initializers of a name',
      fileOf({
        initializer: [
          { name: 'w', dataType: 1, floatData: [1] },
          { name: 'w', dataType: 1, floatData: [2] },
        ],
      }),
      'm.onnx has two initializers called w',
    ],
    [
      'an attribute with a type but no value',
      fileOf({ node: [{ ...RELU, attribute: [{ name: 'body', type: AttributeType.GRAPH }] }] }),
      'm.onnx: attribute body',
    ],
    [
      'a tensor attribute that is broken',
      fileOf({
        node: [{ ...RELU, attribute: [{ name: 'value', type: AttributeType.TENSOR, t: { dataType: 1, dims: [2n] } }] }],
      }),
      'm.onnx: tensor',
    ],
  ])('refuses %s', (_, file, message) => {
    expect(() => readModel(file, 'm.onnx')).toThrow(coded('BAD_MODEL', 'm.onnx'));
    expect(() => readModel(file, 'm.onnx')).toThrow(message);
  });
});

describe('a broken file', () => {
  const real = readFileSync(REAL_MODEL);

  test.each([1, 2, 3, 17, 100, 1000, 4096, 65_536, 1_000_000, 5_000_000, real.length - 100, real.length - 1])(
    'of the first %i bytes of a real model is refused',
    (length) => {
      expect(() => readModel(real.subarray(0, length), 'm.onnx')).toThrow(
        coded('BAD_MODEL', 'm.onnx is no ONNX model'),
      );
    },
  );

  test('of random bytes is refused', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        expect(() => readModel(bytes, 'm.onnx')).toThrow(coded('BAD_MODEL', 'm.onnx'));
      }),
      { numRuns: 500 },
    );
  });

  test('with bytes changed anywhere is read or refused, never anything else', () => {
    const valid = tinyModelBytes();
    const change = fc.record({ at: fc.nat(valid.length - 1), byte: fc.nat(255) });
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 4 }), (changes) => {
        const bytes = Uint8Array.from(valid);
        for (const { at, byte } of changes) bytes[at] = byte;
        const error = errorOf(() => verifyGraph(readModel(bytes, 'm.onnx').graph, 'm.onnx'));
        if (error === undefined) return;
        expect(error).toBeInstanceOf(TandemError);
        expect(error).toEqual(
          expect.objectContaining({
            code: expect.stringMatching(/^(BAD_MODEL|UNSUPPORTED)$/),
            message: expect.stringContaining('m.onnx'),
          }),
        );
      }),
      { numRuns: 1000 },
    );
  });
});

function errorOf(action: () => void): unknown {
  try {
    action();
    return undefined;
  } catch (error) {
    return error;
  }
}
