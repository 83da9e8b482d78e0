/**
 * A constant matrix times what comes, four numbers at a time in WebAssembly: a bottleneck's map is a hundred multiplications
 * a value, and plain JavaScript does one at a time. The module is 250 bytes, written out below. Where there is no
 * WebAssembly with SIMD there is none of this, and callers multiply themselves.
 */

import { bytesOf } from '../letters.ts';

/** @param input [depth][columns] @returns [rows][columns]: start + matrix * input, of one buffer that is used again */
export type Multiply = (input: Float32Array, columns: number) => Float32Array;

interface Kernel {
  readonly memory: { readonly buffer: ArrayBuffer; grow(pages: number): number };
  /** All but counts are addresses. `blocks` of four rows, `quads` of four columns; `depth`, `blocks`, `quads` > 0. */
  multiply(matrix: number, input: number, out: number, blocks: number, depth: number, quads: number): void;
}

interface WebAssemblyApi {
  Module: new (bytes: Uint8Array) => object;
  Instance: new (module: object) => { readonly exports: unknown };
  validate(bytes: Uint8Array): boolean;
}

const PAGE_BYTES = 65_536;

/**
 * @param matrix [rows][depth]
 * @param start of each row
 * @returns null where this host cannot
 */
export function simdMultiply(matrix: Float64Array, rows: number, depth: number, start: Float64Array): Multiply | null {
  const kernel = depth > 0 && rows > 0 ? newKernel() : null;
  if (kernel === null) return null;
  const blocks = Math.ceil(rows / 4);
  const matrixBytes = blocks * depth * 16;
  reserve(kernel, matrixBytes);
  const packed = new Float32Array(kernel.memory.buffer, 0, blocks * depth * 4);
  for (let i = 0; i < rows; i++) {
    const at = (i >> 2) * depth * 4 + (i & 3);
    for (let c = 0; c < depth; c++) packed[at + 4 * c] = matrix[i * depth + c] as number;
  }
  return (input, columns) => {
    const quads = Math.ceil(columns / 4);
    const padded = 4 * quads;
    const result = new Float32Array(rows * columns);
    if (quads === 0) return result;
    const outAt = matrixBytes + depth * padded * 4;
    reserve(kernel, outAt + blocks * padded * 16);
    const { buffer } = kernel.memory;
    const from = new Float32Array(buffer, matrixBytes, depth * padded);
    const out = new Float32Array(buffer, outAt, blocks * 4 * padded);
    for (let c = 0; c < depth; c++) from.set(input.subarray(c * columns, (c + 1) * columns), c * padded);
    for (let i = 0; i < rows; i++) out.fill(start[i] as number, i * padded, (i + 1) * padded);
    kernel.multiply(0, matrixBytes, outAt, blocks, depth, quads);
    for (let i = 0; i < rows; i++) result.set(out.subarray(i * padded, i * padded + columns), i * columns);
    return result;
  };
}

function newKernel(): Kernel | null {
  const { WebAssembly: api } = globalThis as unknown as { readonly WebAssembly?: WebAssemblyApi };
  const bytes = Uint8Array.from(moduleBytes());
  try {
    // A page's policy may forbid what the browser could do.
    if (api?.validate(bytes)) return new api.Instance(new api.Module(bytes)).exports as Kernel;
  } catch {
    return null;
  }
  return null;
}

function reserve({ memory }: Kernel, bytes: number): void {
  const missing = Math.ceil((bytes - memory.buffer.byteLength) / PAGE_BYTES);
  if (missing > 0) memory.grow(missing);
}

// The module, by the WebAssembly specification 2.0, chapter 5.

const [I32, V128, LOOP, END, BR_IF, GET, SET, TEE, CONST] = [0x7f, 0x7b, 0x03, 0x0b, 0x0d, 0x20, 0x21, 0x22, 0x41];
const [ADD, SUB, MUL, SHL, LESS] = [0x6a, 0x6b, 0x6c, 0x74, 0x49];
const VOID = 0x40;
const load = (offset: number) => [0xfd, 0x00, 0x02, offset];
const loadSplat = (offset: number) => [0xfd, 0x09, 0x02, offset];
const STORE = [0xfd, 0x0b, 0x02, 0x00];
const [ADD4, MUL4] = [
  [0xfd, 0xe4, 0x01],
  [0xfd, 0xe6, 0x01],
];
// Locals: the six parameters, then i32s, then vectors.
const [MATRIX, INPUT, OUT, BLOCKS, DEPTH, QUADS] = [0, 1, 2, 3, 4, 5];
const [ROW_BYTES, QUAD, WEIGHT, VALUE, LEFT, TARGET] = [6, 7, 8, 9, 10, 11];
const [VALUES, SUMS] = [12, [13, 14, 15, 16]];

function moduleBytes(): number[] {
  const get = (...locals: readonly number[]) => locals.flatMap((local) => [GET, local]);
  const number = (value: number) => [CONST, value];
  /** local := local op operand */
  const change = (local: number, operand: readonly number[], op: number) => [...get(local), ...operand, op, SET, local];
  const rowAddress = (row: number) => [...get(TARGET, ROW_BYTES), ...number(row), MUL, ADD];
  const inner = [
    ...[...get(VALUE), ...load(0), SET, VALUES],
    ...SUMS.flatMap((sum, row) => [
      ...[...get(sum, WEIGHT), ...loadSplat(4 * row), ...get(VALUES), ...MUL4, ...ADD4, SET, sum],
    ]),
    ...change(WEIGHT, number(16), ADD),
    ...change(VALUE, get(ROW_BYTES), ADD),
    ...[...get(LEFT), ...number(1), SUB, TEE, LEFT, BR_IF, 0],
  ];
  const quad = [
    ...[...get(MATRIX), SET, WEIGHT, ...get(DEPTH), SET, LEFT],
    ...[...get(INPUT, QUAD), ...number(4), SHL, ADD, SET, VALUE],
    ...[...get(OUT, QUAD), ...number(4), SHL, ADD, SET, TARGET],
    ...SUMS.flatMap((sum, row) => [...rowAddress(row), ...load(0), SET, sum]),
    ...[LOOP, VOID, ...inner, END],
    ...SUMS.flatMap((sum, row) => [...rowAddress(row), ...get(sum), ...STORE]),
    ...[...get(QUAD), ...number(1), ADD, TEE, QUAD, ...get(QUADS), LESS, BR_IF, 0],
  ];
  const block = [
    ...[...number(0), SET, QUAD, LOOP, VOID, ...quad, END],
    // Where the last sum stopped reading is where the next four rows begin.
    ...[...get(WEIGHT), SET, MATRIX],
    ...change(OUT, [...get(ROW_BYTES), ...number(4), MUL], ADD),
    ...[...get(BLOCKS), ...number(1), SUB, TEE, BLOCKS, BR_IF, 0],
  ];
  const body = [
    ...[2, 6, I32, 5, V128],
    ...[...get(QUADS), ...number(4), SHL, SET, ROW_BYTES],
    ...[LOOP, VOID, ...block, END, END],
  ];
  const name = (text: string) => [text.length, ...bytesOf(text)];
  const section = (id: number, content: readonly number[]) => [id, ...unsigned(content.length), ...content];
  return [
    ...[0, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    ...section(1, [1, 0x60, 6, I32, I32, I32, I32, I32, I32, 0]),
    ...section(3, [1, 0]),
    ...section(5, [1, 0, 1]),
    ...section(7, [2, ...name('memory'), 2, 0, ...name('multiply'), 0, 0]),
    ...section(10, [1, ...unsigned(body.length), ...body]),
  ];
}

/** LEB128. */
function unsigned(value: number): number[] {
  return value < 128 ? [value] : [(value & 127) | 128, ...unsigned(value >> 7)];
}
