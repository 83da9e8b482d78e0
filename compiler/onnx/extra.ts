/**
 * What the graph does not look at, carried unharmed: doc strings, metadata, local functions, fields newer than this
 * code. It is kept as an encoded message that holds only the fields left over, and decoded again when writing.
 */
import { create, type DescMessage, fromBinary, isFieldSet, type MessageShape, toBinary } from '@bufbuild/protobuf';
import type { Extra } from '../graph/graph.ts';

/** Fields of each message that the graph holds itself. */
export const MODEL_FIELDS = new Set(['graph', 'irVersion', 'opsetImport', 'producerName', 'metadataProps']);
export const GRAPH_FIELDS = new Set([
  ...['name', 'input', 'output', 'node', 'initializer', 'sparseInitializer', 'valueInfo', 'quantizationAnnotation'],
]);
export const NODE_FIELDS = new Set(['opType', 'domain', 'name', 'input', 'output', 'attribute']);
export const ATTRIBUTE_FIELDS = new Set([
  ...['name', 'type', 'f', 'i', 's', 't', 'g', 'floats', 'ints', 'strings', 'tensors', 'graphs'],
]);
export const VALUE_FIELDS = new Set(['name', 'type']);
export const TENSOR_FIELDS = new Set([
  ...['name', 'dataType', 'dims', 'segment', 'rawData', 'externalData', 'dataLocation'],
  ...['floatData', 'int32Data', 'stringData', 'int64Data', 'doubleData', 'uint64Data'],
]);

/** The fields of a message that are not among `known`, encoded; undefined where there are none. */
export function extraOf<D extends DescMessage>(
  schema: D,
  message: MessageShape<D>,
  known: ReadonlySet<string>,
): Extra | undefined {
  const others = schema.fields.filter((field) => !known.has(field.localName) && isFieldSet(message, field));
  if (others.length === 0 && !message.$unknown?.length) return undefined;
  const rest = create(schema);
  const [from, to] = [message as Record<string, unknown>, rest as Record<string, unknown>];
  for (const { localName } of others) to[localName] = from[localName];
  if (message.$unknown) rest.$unknown = message.$unknown;
  return toBinary(schema, rest);
}

/** A message to fill in: with what was left over when it was read, or empty. */
export function withExtra<D extends DescMessage>(schema: D, extra: Extra | undefined): MessageShape<D> {
  return extra ? fromBinary(schema, extra) : create(schema);
}
