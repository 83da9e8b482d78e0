/**
 * Distance correlation of two sets of vectors, without the bias that many columns bring (Székely and Rizzo, "The distance
 * correlation t-test of independence in high dimension", 2013): near 0 where they are independent, 1 where one is a
 * similarity of the other. NoPeek takes it as what a split leaks.
 */

export interface VectorSet {
  readonly count: number;
  /** [count, any] */
  readonly data: Float32Array;
}

/** From 0 to 1; 0 for fewer than four pairs, or where either does not vary. */
export function distanceCorrelation(a: VectorSet, b: VectorSet): number {
  const { count } = a;
  if (count < 4) return 0;
  const [x, y] = [centred(distances(a), count), centred(distances(b), count)];
  const scale = Math.sqrt(inner(x, x) * inner(y, y));
  return scale > 0 ? Math.sqrt(Math.min(1, Math.max(0, inner(x, y) / scale))) : 0;
}

function inner(x: Float64Array, y: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < x.length; i++) sum += (x[i] as number) * (y[i] as number);
  return sum;
}

function distances({ count, data }: VectorSet): Float64Array {
  const columns = data.length / count;
  const result = new Float64Array(count * count);
  for (let i = 0; i < count; i++) {
    for (let j = 0; j < i; j++) {
      let sum = 0;
      for (let c = 0; c < columns; c++)
        sum += ((data[i * columns + c] as number) - (data[j * columns + c] as number)) ** 2;
      result[i * count + j] = Math.sqrt(sum);
      result[j * count + i] = Math.sqrt(sum);
    }
  }
  return result;
}

/** U-centred: the diagonal is 0, and so is what independent vectors give on average. */
function centred(matrix: Float64Array, n: number): Float64Array {
  const sums = new Float64Array(n);
  for (let i = 0; i < n; i++) for (let j = 0; j < n; j++) sums[i] = (sums[i] as number) + (matrix[i * n + j] as number);
  const total = sums.reduce((sum, value) => sum + value, 0);
  return matrix.map((value, at) => {
    const [i, j] = [Math.floor(at / n), at % n];
    if (i === j) return 0;
    return value - ((sums[i] as number) + (sums[j] as number)) / (n - 2) + total / ((n - 1) * (n - 2));
  });
}
