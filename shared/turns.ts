/** Work that must not overlap: a device is one processor, and some engines mix up runs that are under way at once. */

/** Whatever is handed to the function waits for what came before it, whether that succeeds or not. */
export function oneAtATime(): <T>(work: () => Promise<T>) => Promise<T> {
  let last: Promise<unknown> = Promise.resolve();
  return (work) => {
    const turn = last.then(work);
    last = turn.catch(() => {});
    return turn;
  };
}
