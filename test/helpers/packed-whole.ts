/** Any file as a packed one: all of it taken for one weight of one channel. */
import { packedFile } from '../../compiler/compress/packed-file.ts';
import { CODES } from '../../compiler/compress/weight-classes.ts';

export function packedWhole(bytes: Uint8Array): Uint8Array {
  const codes = Int8Array.from(bytes);
  const counts = new Uint32Array(CODES);
  for (const code of codes) counts[code + CODES / 2] = (counts[code + CODES / 2] as number) + 1;
  return packedFile(bytes, [{ offset: 0, codes, stride: 1, classes: Uint8Array.of(0) }], [counts]);
}
