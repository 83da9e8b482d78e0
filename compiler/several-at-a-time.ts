/** Work on many items, a few of them under way at once: what a runtime of several threads needs to have something to do. */

/** Two for each of the threads that there mostly are: while one runs, the next is handed over. */
const AT_A_TIME = 4;

/** @returns in the order of items, which are asked for as they are needed */
export async function severalAtATime<T, R>(
  items: Iterable<T> | AsyncIterable<T>,
  work: (item: T) => Promise<R>,
  count = AT_A_TIME,
): Promise<R[]> {
  const results: R[] = [];
  const iterator = Symbol.asyncIterator in items ? items[Symbol.asyncIterator]() : items[Symbol.iterator]();
  let asked = 0;
  async function goOn(): Promise<void> {
    for (;;) {
      const i = asked++;
      const { value, done } = await iterator.next();
      if (done) return;
      results[i] = await work(value);
    }
  }
  await Promise.all(Array.from({ length: count }, goOn));
  return results;
}
