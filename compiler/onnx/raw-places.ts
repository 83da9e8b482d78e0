/** Where in a model's file the bytes of its constants lie. */
import type { Graph } from '../graph/graph.ts';
import { readModel } from './read.ts';

/** A constant whose bytes are a run of the file. */
export interface RawPlace {
  readonly name: string;
  /** First byte in the file. */
  readonly offset: number;
  readonly bytes: Uint8Array;
}

/**
 * The model's graph, and its initializers that are stored as raw bytes, in the file's order.
 * @throws BAD_MODEL
 */
export function rawPlaces(file: Uint8Array, what: string): { graph: Graph; places: RawPlace[] } {
  const { graph } = readModel(file, what);
  const places = [...graph.initializers]
    // Raw bytes are views of the file; whatever was stored otherwise has memory of its own.
    .filter(([, { bytes }]) => bytes.length > 0 && bytes.buffer === file.buffer)
    .map(([name, { bytes }]) => ({ name, offset: bytes.byteOffset - file.byteOffset, bytes }))
    .sort((a, b) => a.offset - b.offset);
  return { graph, places };
}
