/**
 * Moments of samples that come one batch at a time: memory depends on the number of columns alone. What regressions,
 * principal components and GPTQ need to know of data is in them.
 */

/** Sums over rows x, row-major: of x, of x xᵀ, and where there are targets z of x zᵀ. */
export interface Moments {
  readonly columns: number;
  readonly targets: number;
  /** Rows seen. */
  count: number;
  /** [columns] */
  readonly sum: Float64Array;
  /** [columns, columns], both triangles once `finishMoments` was called. */
  readonly gram: Float64Array;
  /** [targets] */
  readonly targetSum: Float64Array;
  /** [columns, targets] */
  readonly cross: Float64Array;
}

export function newMoments(columns: number, targets = 0): Moments {
  return {
    ...{ columns, targets, count: 0, sum: new Float64Array(columns), gram: new Float64Array(columns * columns) },
    ...{ targetSum: new Float64Array(targets), cross: new Float64Array(columns * targets) },
  };
}

/**
 * @param rows [count, columns]
 * @param targets [count, moments.targets]
 */
export function addRows(moments: Moments, rows: Float32Array, targets?: Float32Array): void {
  const { columns, sum, cross, targetSum, targets: targetCount } = moments;
  const count = rows.length / columns;
  // Four rows in one go over the matrix, which is larger than a cache.
  const together = count - (count % 4);
  for (let r = 0; r < together; r += 4) addFourProducts(moments, rows, r * columns);
  for (let r = together; r < count; r++) addProduct(moments, rows, r * columns);
  for (let r = 0; r < count; r++) {
    const at = r * columns;
    addTo(sum, 0, 1, rows, at, columns);
    if (!targets) continue;
    for (let i = 0; i < columns; i++) {
      const value = rows[at + i] as number;
      if (value !== 0) addTo(cross, i * targetCount, value, targets, r * targetCount, targetCount);
    }
    addTo(targetSum, 0, 1, targets, r * targetCount, targetCount);
  }
  moments.count += count;
}

/** Fills the upper triangle. */
export function finishMoments({ columns, gram }: Moments): void {
  for (let i = 0; i < columns; i++) {
    for (let j = 0; j < i; j++) gram[j * columns + i] = gram[i * columns + j] as number;
  }
}

/** Adds x xᵀ of one row to the lower triangle. */
function addProduct({ columns, gram }: Moments, rows: Float32Array, at: number): void {
  for (let i = 0; i < columns; i++) {
    const value = rows[at + i] as number;
    if (value !== 0) addTo(gram, i * columns, value, rows, at, i + 1);
  }
}

function addFourProducts({ columns, gram }: Moments, rows: Float32Array, first: number): void {
  const [second, third, fourth] = [first + columns, first + 2 * columns, first + 3 * columns];
  for (let i = 0; i < columns; i++) {
    const a = rows[first + i] as number;
    const b = rows[second + i] as number;
    const c = rows[third + i] as number;
    const d = rows[fourth + i] as number;
    if (a === 0 && b === 0 && c === 0 && d === 0) continue;
    const to = i * columns;
    for (let j = 0; j <= i; j++) {
      gram[to + j] =
        (gram[to + j] as number) +
        a * (rows[first + j] as number) +
        b * (rows[second + j] as number) +
        c * (rows[third + j] as number) +
        d * (rows[fourth + j] as number);
    }
  }
}

function addTo(
  sums: Float64Array,
  at: number,
  factor: number,
  values: Float32Array,
  from: number,
  count: number,
): void {
  for (let k = 0; k < count; k++) sums[at + k] = (sums[at + k] as number) + factor * (values[from + k] as number);
}
