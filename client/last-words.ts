/**
 * What the gateway says of a request in the end, awaited also where nobody waits for the answer any more: its receipt is the
 * user's all the same. So many are awaited, for so long, and none beyond its connection.
 */
import type { Clock } from '../shared/clock.ts';
import type { MessageOf } from '../shared/protocol/messages.ts';

export type LastWord = MessageOf<'result' | 'error'> | null;

const AWAITED_MAX = 128;
/** After the answer was given up: a slow uplink may still be sending what it was for. */
const AWAITED_MS = 30_000;

export class LastWords {
  private readonly awaited = new Map<number, (word: LastWord) => void>();

  /** Null where none comes in time. */
  of(id: number): Promise<LastWord> {
    const [oldest] = this.awaited.keys();
    if (this.awaited.size >= AWAITED_MAX && oldest !== undefined) this.came(oldest, null);
    return new Promise((resolve) => this.awaited.set(id, resolve));
  }

  came(id: number, word: LastWord): void {
    this.awaited.get(id)?.(word);
    this.awaited.delete(id);
  }

  /** Nobody waits for the answer any more. */
  givenUp(id: number, clock: Clock): void {
    const resolve = this.awaited.get(id);
    if (!resolve) return;
    const stop = clock.after(AWAITED_MS, () => this.came(id, null));
    this.awaited.set(id, (word) => {
      stop();
      resolve(word);
    });
  }

  clear(): void {
    for (const id of this.awaited.keys()) this.came(id, null);
  }
}
