/** Work on many items, a few of them under way at once: what a runtime of several threads needs to have something to do. */

/** Two for each of the threads that there mostly are: while one runs, the next is handed over. */
const AT_A_TIME = 4;

/** @returns in the order of items */
export async function severalAtATime<T, R>(items: readonly T[], work: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = new Array(items.length);
  let next = 0;
  async function goOn(): Promise<void> {
    for (let i = next++; i < items.length; i = next++) results[i] = await work(items[i] as T);
  }
  await Promise.all(Array.from({ length: Math.min(AT_A_TIME, items.length) }, goOn));
  return results;
}
