/** Which weights become 0 where only so many are kept. */

/** The smallest weights set to 0, `share` of all, rounded down. */
export function pruneSmallest(rows: Float32Array, share: number): Float32Array {
  const order = [...rows.keys()].sort((a, b) => Math.abs(rows[a] as number) - Math.abs(rows[b] as number) || a - b);
  const pruned = rows.slice();
  for (const i of order.slice(0, Math.floor(share * rows.length))) pruned[i] = 0;
  return pruned;
}

/**
 * Of each row the share of weights that matter least: by their square times what an error in their column costs.
 * @param costs of each column
 * @returns [outputs, columns], 1 where a weight is one of them
 */
export function leastImportant(
  rows: Float32Array,
  columns: number,
  costs: ArrayLike<number>,
  share: number,
): Uint8Array {
  const gone = new Uint8Array(rows.length);
  const worth = rows.map((value, i) => value * value * (costs[i % columns] as number));
  for (let from = 0; from < rows.length; from += columns) {
    const order = Array.from({ length: columns }, (_, c) => from + c);
    order.sort((a, b) => (worth[a] as number) - (worth[b] as number) || a - b);
    for (const i of order.slice(0, Math.floor(share * columns))) gone[i] = 1;
  }
  return gone;
}
