/**
 * Eigenvectors of a symmetric matrix: Householder's reduction to a tridiagonal one, then the QL iteration with implicit
 * shifts (Golub and Van Loan, "Matrix Computations", 8.3). Vectors are kept as rows, so that every inner loop runs along
 * memory: 480 x 480 takes about half a second.
 */

export interface SymmetricEigen {
  /** From the largest to the smallest. */
  readonly values: Float64Array;
  /** [n][n], row i the vector of unit length that belongs to values[i]; its largest entry is positive. */
  readonly vectors: Float64Array;
}

/** Iterations that one eigenvalue may take; two or three are usual. */
const ITERATIONS_MAX = 60;

/**
 * @param matrix [n][n], symmetric, of finite numbers
 * @throws RangeError where the iteration does not settle
 */
export function symmetricEigen(matrix: Float64Array, n: number): SymmetricEigen {
  const { diagonal, below, vectors } = tridiagonal(matrix, n);
  diagonalise(diagonal, below, vectors, n);
  const order = [...diagonal.keys()].sort((a, b) => (diagonal[b] as number) - (diagonal[a] as number));
  const sorted = new Float64Array(n * n);
  for (const [rank, i] of order.entries()) sorted.set(withSign(vectors.subarray(i * n, (i + 1) * n)), rank * n);
  return { values: Float64Array.from(order, (i) => diagonal[i] as number), vectors: sorted };
}

interface Tridiagonal {
  readonly diagonal: Float64Array;
  /** below[i] lies between i and i + 1; the last is 0. */
  readonly below: Float64Array;
  /** [n][n], Q transposed, where matrix = Q T Q'. */
  readonly vectors: Float64Array;
}

function tridiagonal(matrix: Float64Array, n: number): Tridiagonal {
  const a = Float64Array.from(matrix);
  const below = new Float64Array(n);
  const mirrors: { readonly v: Float64Array; readonly beta: number }[] = [];
  for (let k = 0; k + 2 < n; k++) {
    const v = new Float64Array(n);
    for (let i = k + 1; i < n; i++) v[i] = a[i * n + k] as number;
    const norm = Math.sqrt(dot(v, v, k + 1, n));
    const alpha = (v[k + 1] as number) > 0 ? -norm : norm;
    v[k + 1] = (v[k + 1] as number) - alpha;
    const square = dot(v, v, k + 1, n);
    const beta = square > 0 ? 2 / square : 0;
    below[k] = alpha;
    mirrors.push({ v, beta });
    if (beta > 0) mirrorBothSides(a, v, beta, k + 1, n);
  }
  if (n > 1) below[n - 2] = a[(n - 1) * n + n - 2] as number;
  const vectors = new Float64Array(n * n);
  for (let i = 0; i < n; i++) vectors[i * n + i] = 1;
  for (let k = mirrors.length - 1; k >= 0; k--) {
    const { v, beta } = mirrors[k] as (typeof mirrors)[number];
    for (let i = k + 1; i < n; i++) {
      const row = vectors.subarray(i * n, (i + 1) * n);
      addScaled(row, v, -beta * dot(row, v, k + 1, n), k + 1, n);
    }
  }
  return { diagonal: Float64Array.from({ length: n }, (_, i) => a[i * n + i] as number), below, vectors };
}

/** a := H a H for H = 1 - beta v v', of the part from `from` on. */
function mirrorBothSides(a: Float64Array, v: Float64Array, beta: number, from: number, n: number): void {
  const w = new Float64Array(n);
  for (let i = from; i < n; i++) w[i] = beta * dot(a.subarray(i * n, (i + 1) * n), v, from, n);
  addScaled(w, v, (-beta / 2) * dot(w, v, from, n), from, n);
  for (let i = from; i < n; i++) {
    const row = a.subarray(i * n, (i + 1) * n);
    addScaled(row, w, -(v[i] as number), from, n);
    addScaled(row, v, -(w[i] as number), from, n);
  }
}

function diagonalise(d: Float64Array, e: Float64Array, vectors: Float64Array, n: number): void {
  const norm = d.reduce((most, value, i) => Math.max(most, Math.abs(value) + Math.abs(e[i] as number)), 0);
  for (let low = 0; low < n; low++) {
    for (let iteration = 0; ; iteration++) {
      const end = blockEnd(e, low, Number.EPSILON * norm);
      if (end === low) break;
      if (iteration === ITERATIONS_MAX) throw new RangeError(`eigenvalue ${low} of ${n} does not settle`);
      sweep(d, e, vectors, low, end, n);
    }
  }
}

/** The last index of the block from `low` that is still connected: by more than rounding errors of the whole. */
function blockEnd(e: Float64Array, low: number, negligible: number): number {
  let end = low;
  while (end < e.length - 1 && Math.abs(e[end] as number) > negligible) end++;
  return end;
}

/** One implicit QL step over [low, end], from its end upwards. */
function sweep(d: Float64Array, e: Float64Array, vectors: Float64Array, low: number, end: number, n: number): void {
  const half = ((d[low + 1] as number) - (d[low] as number)) / (2 * (e[low] as number));
  const root = Math.hypot(half, 1);
  // Wilkinson's shift: the eigenvalue of the first 2 x 2 that lies nearer to d[low].
  const shift = (d[low] as number) - (e[low] as number) / (half + (half < 0 ? -root : root));
  let bulge = (d[end] as number) - shift;
  let [sine, cosine, lost] = [1, 1, 0];
  for (let i = end - 1; i >= low; i--) {
    const f = sine * (e[i] as number);
    const b = cosine * (e[i] as number);
    const length = Math.hypot(f, bulge);
    e[i + 1] = length;
    if (length === 0) {
      // The block fell apart by itself: the caller finds its parts.
      d[i + 1] = (d[i + 1] as number) - lost;
      e[end] = 0;
      return;
    }
    sine = f / length;
    cosine = bulge / length;
    const base = (d[i + 1] as number) - lost;
    const turn = ((d[i] as number) - base) * sine + 2 * cosine * b;
    lost = sine * turn;
    d[i + 1] = base + lost;
    bulge = cosine * turn - b;
    rotateRows(vectors, i * n, n, sine, cosine);
  }
  d[low] = (d[low] as number) - lost;
  e[low] = bulge;
  e[end] = 0;
}

/** The row at `at` and the one behind it. */
function rotateRows(vectors: Float64Array, at: number, n: number, sine: number, cosine: number): void {
  for (let j = at; j < at + n; j++) {
    const x = vectors[j] as number;
    const y = vectors[j + n] as number;
    vectors[j + n] = sine * x + cosine * y;
    vectors[j] = cosine * x - sine * y;
  }
}

function dot(a: Float64Array, b: Float64Array, from: number, to: number): number {
  let sum = 0;
  for (let i = from; i < to; i++) sum += (a[i] as number) * (b[i] as number);
  return sum;
}

function addScaled(a: Float64Array, b: Float64Array, factor: number, from: number, to: number): void {
  for (let i = from; i < to; i++) a[i] = (a[i] as number) + factor * (b[i] as number);
}

/** Either sign is as good; one is picked so that a compile gives the same plan anywhere. */
function withSign(vector: Float64Array): Float64Array {
  let largest = 0;
  for (const value of vector) if (Math.abs(value) > Math.abs(largest) + 1e-9) largest = value;
  return largest < 0 ? vector.map((value) => -value) : vector;
}
