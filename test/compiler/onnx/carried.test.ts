/** What the graph does not look at comes out as it went in. */
import { create, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import {
  AttributeProto_AttributeType as AttributeType,
  TensorProto_DataType as DataType,
  ModelProtoSchema,
} from 'onnx-buf';
import { describe, expect, test } from 'vitest';
import { ELEMENT_TYPES } from '../../../compiler/graph/graph.ts';
import { readModel } from '../../../compiler/onnx/read.ts';
import { writeModel } from '../../../compiler/onnx/write.ts';

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

  test.each(ELEMENT_TYPES.filter((type) => !['undefined', 'string'].includes(type)))(
    'is a tensor of %s',
    (elementType) => {
      const bits = { int4: 4, uint4: 4, float4e2m1: 4, int2: 2, uint2: 2 }[elementType as 'int4'];
      const dims = [8n];
      for (const byteLength of [1, 2, 4, 8, 16, 32, 64, 128]) {
        const initializer = [
          {
            name: 'w',
            dataType: ELEMENT_TYPES.indexOf(elementType),
            dims,
            rawData: Uint8Array.from({ length: byteLength }, (_, i) => i * 37),
          },
        ];
        const model = { ...EVERYTHING, graph: { ...(EVERYTHING.graph as object), initializer } };
        const bytes = toBinary(ModelProtoSchema, create(ModelProtoSchema, model as never));
        const read = () => readModel(bytes, 'm.onnx');
        if (bits === undefined ? byteLength % 8 !== 0 : byteLength !== bits) continue;
        let constant: unknown;
        try {
          constant = read().graph.initializers.get('w');
        } catch {
          continue;
        }
        expect(constant).toMatchObject({ elementType, shape: [8] });
        expect(readModel(writeModel(read()), 'm.onnx').graph.initializers.get('w')).toEqual(constant);
        return;
      }
      throw new Error(`no length fits 8 elements of ${elementType}`);
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
