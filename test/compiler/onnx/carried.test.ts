/** What the graph does not look at comes out as it went in. */
import { create, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import {
  AttributeProto_AttributeType as AttributeType,
  TensorProto_DataType as DataType,
  ModelProtoSchema,
} from 'onnx-buf';
import { describe, expect, test } from 'vitest';
import { ELEMENT_TYPES, type ElementType } from '../../../compiler/graph/graph.ts';
import { readModel } from '../../../compiler/onnx/read.ts';
import { writeModel } from '../../../compiler/onnx/write.ts';
import { coded } from '../coded.ts';

const entry = (key: string, value: string) => ({ key, value });
const float = (name: string, dims: bigint[]) => ({
  name,
  type: {
    denotation: 'IMAGE',
    value: {
      case: 'tensorType' as const,
      value: {
        elemType: 1,
        shape: { dim: dims.map((dim) => ({ denotation: 'N', value: { case: 'dimValue' as const, value: dim } })) },
      },
    },
  },
});

/** A model with a bit of everything, in the form that a writer gives it. */
const EVERYTHING: MessageInitShape<typeof ModelProtoSchema> = {
  irVersion: 10n,
  producerName: 'test',
  producerVersion: '1.2',
  domain: 'example',
  modelVersion: 7n,
  docString: 'a model',
  opsetImport: [
    { domain: '', version: 21n },
    { domain: 'local', version: 1n },
    { domain: 'com.microsoft', version: 1n },
  ],
  metadataProps: [entry('author', 'somebody')],
  functions: [
    {
      name: 'Twice',
      domain: 'local',
      input: ['a'],
      output: ['b'],
      attribute: ['factor'],
      opsetImport: [{ domain: '', version: 21n }],
      node: [
        {
          opType: 'Elu',
          input: ['a'],
          output: ['b'],
          attribute: [{ name: 'alpha', refAttrName: 'factor', type: AttributeType.FLOAT }],
        },
      ],
    },
  ],
  graph: {
    name: 'g',
    docString: 'a graph',
    metadataProps: [entry('graph', 'yes')],
    input: [
      float('x', [2n]),
      { name: 'w', docString: 'a default that callers may replace', type: float('w', [2n]).type },
    ],
    output: [{ name: 'y', metadataProps: [entry('value', 'yes')] }],
    initializer: [
      {
        name: 'w',
        dataType: 1,
        dims: [2n],
        rawData: new Uint8Array(8),
        docString: 'weights',
        metadataProps: [entry('a', 'b')],
      },
    ],
    sparseInitializer: [
      {
        values: { name: 's', dataType: 1, dims: [1n], rawData: new Uint8Array(4) },
        indices: { name: 's_i', dataType: 7, dims: [1n], rawData: new Uint8Array(8) },
        dims: [4n],
      },
    ],
    quantizationAnnotation: [{ tensorName: 'y', quantParameterTensorNames: [entry('SCALE_TENSOR', 'w')] }],
    node: [
      {
        opType: 'Twice',
        domain: 'local',
        overload: 'fast',
        name: 'n',
        input: ['x'],
        output: ['y'],
        docString: 'a node',
        metadataProps: [entry('node', 'yes')],
        attribute: [
          { name: 'type', type: AttributeType.TYPE_PROTO, tp: float('', [1n]).type },
          { name: 'strings', type: AttributeType.STRINGS, strings: [Uint8Array.of(0xff, 0)] },
          { name: 'big', type: AttributeType.INT, i: 2n ** 63n - 1n, docString: 'an attribute' },
        ],
      },
    ],
  },
};

describe('carried through the graph unharmed', () => {
  test('are functions, overloads, doc strings, metadata, defaults, sparse and annotated tensors, and types of any kind', () => {
    const bytes = toBinary(ModelProtoSchema, create(ModelProtoSchema, EVERYTHING));
    const again = writeModel(readModel(bytes, 'm.onnx'));
    expect(readModel(again, 'm.onnx')).toEqual(readModel(bytes, 'm.onnx'));
    expect(Buffer.from(again).equals(Buffer.from(bytes))).toBe(true);
  });

  test('are fields that this code has never heard of', () => {
    const bytes = toBinary(ModelProtoSchema, create(ModelProtoSchema, EVERYTHING));
    // Field 999 of the model, a string: tag 999 << 3 | 2 as a varint, then length and text.
    const future = Uint8Array.of(0xba, 0x3e, 5, ...new TextEncoder().encode('later'));
    const again = writeModel(readModel(Buffer.concat([bytes, future]), 'm.onnx'));
    expect(Buffer.from(again).includes('later')).toBe(true);
  });

  /** Bytes of 8 elements. */
  const BYTES_OF_8: Readonly<Partial<Record<ElementType, number>>> = {
    ...{
      bool: 8,
      int8: 8,
      uint8: 8,
      float8e4m3fn: 8,
      float8e4m3fnuz: 8,
      float8e5m2: 8,
      float8e5m2fnuz: 8,
      float8e8m0: 8,
    },
    ...{ int16: 16, uint16: 16, float16: 16, bfloat16: 16, int32: 32, uint32: 32, float32: 32 },
    ...{ int64: 64, uint64: 64, float64: 64, complex64: 64, complex128: 128 },
    ...{ int4: 4, uint4: 4, float4e2m1: 4, int2: 2, uint2: 2 },
  };

  test.each(ELEMENT_TYPES.filter((type) => !['undefined', 'string'].includes(type)))(
    'is a tensor of %s, of the one length that it can have',
    (elementType) => {
      const file = (byteLength: number) => {
        const rawData = Uint8Array.from({ length: byteLength }, (_, i) => i * 37);
        const initializer = [{ name: 'w', dataType: ELEMENT_TYPES.indexOf(elementType), dims: [8n], rawData }];
        const model = { ...EVERYTHING, graph: { ...(EVERYTHING.graph as object), initializer } };
        return toBinary(ModelProtoSchema, create(ModelProtoSchema, model as never));
      };
      const length = BYTES_OF_8[elementType] as number;
      const model = readModel(file(length), 'm.onnx');
      const constant = model.graph.initializers.get('w');
      expect(constant).toMatchObject({ elementType, shape: [8] });
      expect(constant?.bytes.byteLength).toBe(length);
      expect(readModel(writeModel(model), 'm.onnx').graph.initializers.get('w')).toEqual(constant);
      for (const other of [length - 1, length + 1, 2 * length]) {
        expect(() => readModel(file(other), 'm.onnx')).toThrow(coded('BAD_MODEL', 'w'));
      }
    },
  );

  test('element types have ONNX’s own numbers', () => {
    const numbers = Object.entries(DataType).filter((pair): pair is [string, number] => typeof pair[1] === 'number');
    const names = { float: 'float32', double: 'float64' } as Record<string, string>;
    for (const [name, number] of numbers) {
      const plain = name.toLowerCase();
      expect(ELEMENT_TYPES[number]).toBe(names[plain] ?? plain);
    }
  });
});
