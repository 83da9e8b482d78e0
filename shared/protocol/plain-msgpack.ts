/**
 * Whether bytes are one plain msgpack value, looked at before any of it is built. msgpackr reads extension types whoever
 * sends them: with its references, a hundred bytes stand for 2 ** 40 values, and it prints what it read into its errors.
 * So only maps, arrays, strings, numbers, booleans and nil may reach it, to a bounded depth, and nothing behind them.
 * 64-bit integers are taken within 2 ** 53 of 0, where a number can hold them: some encoders write every integer so.
 */

/** Levels of maps and arrays; messages have four. */
const DEPTH_MAX = 16;

/** Bytes of fixed-size scalars behind their first byte: nil, false, true, floats and integers. */
const SCALAR_BYTES = new Map<number, number>([
  ...([
    [0xc0, 0],
    [0xc2, 0],
    [0xc3, 0],
    [0xca, 4],
    [0xcb, 8],
  ] as const),
  ...([
    [0xcc, 1],
    [0xcd, 2],
    [0xce, 4],
    [0xd0, 1],
    [0xd1, 2],
    [0xd2, 4],
  ] as const),
]);
/** 64-bit integers, which are taken only where a number can hold them. */
const UINT64 = 0xcf;
const INT64 = 0xd3;
/** Their upper halves are below this. */
const UPPER_MAX = 2 ** 21;
/** Bytes that tell a length, for strings, arrays and maps. */
const STRING_LENGTH_BYTES = new Map([
  [0xd9, 1],
  [0xda, 2],
  [0xdb, 4],
]);
const ARRAY_LENGTH_BYTES = new Map([
  [0xdc, 2],
  [0xdd, 4],
]);
const MAP_LENGTH_BYTES = new Map([
  [0xde, 2],
  [0xdf, 4],
]);

/** Source of the format: github.com/msgpack/msgpack/blob/master/spec.md */
export function isPlainMsgpack(bytes: Uint8Array): boolean {
  /** Values still to come at each level. */
  const expected = [1];
  let at = 0;
  const readLength = (size: number): number => {
    let length = 0;
    for (let i = 0; i < size; i++) length = length * 256 + (bytes[at++] ?? 0);
    return length;
  };
  /** Moves past one value's own bytes. Gives how many values it holds, or null where it is none that is plain. */
  const childrenOf = (first: number): number | null => {
    if (first < 0x80 || first >= 0xe0) return 0;
    if (first < 0x90) return 2 * (first & 0x0f);
    if (first < 0xa0) return first & 0x0f;
    if (first === UINT64 || first === INT64) {
      // The upper half tells; below 0 it wraps around.
      const below = first === INT64 ? UPPER_MAX : 0;
      const isHeld = (readLength(4) + below) % 2 ** 32 < UPPER_MAX + below;
      at += 4;
      return isHeld ? 0 : null;
    }
    const array = ARRAY_LENGTH_BYTES.get(first);
    if (array !== undefined) return readLength(array);
    const map = MAP_LENGTH_BYTES.get(first);
    if (map !== undefined) return 2 * readLength(map);
    const string = STRING_LENGTH_BYTES.get(first);
    const bytesBehind =
      first < 0xc0 ? first & 0x1f : string === undefined ? SCALAR_BYTES.get(first) : readLength(string);
    if (bytesBehind === undefined) return null;
    at += bytesBehind;
    return 0;
  };
  while (expected.length > 0) {
    const level = expected.length - 1;
    if (expected[level] === 0) {
      expected.pop();
      continue;
    }
    expected[level] = (expected[level] as number) - 1;
    if (at >= bytes.length) return false;
    const first = bytes[at++] as number;
    const children = childrenOf(first);
    if (children === null) return false;
    if (children > 0) expected.push(children);
    if (expected.length > DEPTH_MAX) return false;
  }
  return at === bytes.length;
}
