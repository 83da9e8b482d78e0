/** The future as a heap: what comes next in time, and of two at once what was planned first. */

interface Entry {
  readonly atMs: number;
  readonly order: number;
  readonly action: () => void;
}

export class Events {
  nowMs = 0;
  private readonly heap: Entry[] = [];
  private planned = 0;

  /** Calls `action` at a time that is not past. */
  at(atMs: number, action: () => void): void {
    const { heap } = this;
    const entry = { atMs: Math.max(atMs, this.nowMs), order: this.planned++, action };
    let i = heap.length;
    while (i > 0) {
      const parent = (i - 1) >> 1;
      if (!isBefore(entry, heap[parent] as Entry)) break;
      heap[i] = heap[parent] as Entry;
      i = parent;
    }
    heap[i] = entry;
  }

  /** Runs until nothing is left, or `isOver` says so. */
  run(isOver: () => boolean): void {
    while (this.heap.length > 0 && !isOver()) {
      const { atMs, action } = this.take();
      this.nowMs = atMs;
      action();
    }
  }

  private take(): Entry {
    const { heap } = this;
    const first = heap[0] as Entry;
    const last = heap.pop() as Entry;
    if (heap.length === 0) return first;
    let i = 0;
    for (;;) {
      let child = 2 * i + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && isBefore(heap[child + 1] as Entry, heap[child] as Entry)) child++;
      if (!isBefore(heap[child] as Entry, last)) break;
      heap[i] = heap[child] as Entry;
      i = child;
    }
    heap[i] = last;
    return first;
  }
}

function isBefore(a: Entry, b: Entry): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);
}
