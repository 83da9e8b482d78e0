/**
 * A bound on what has come of frames and bodies that are not whole yet, of all connections together: one may have 16 MiB, and a
 * thousand of them more than a machine. Where there is no room, whoever has most is given up: who has less than its share of the
 * room never is, and who lets a frame trickle in gains nothing by it over who is silent.
 */

/** What a piece takes besides its bytes while it waits for the rest: a peer may send single bytes, which were seen to take 740 each. */
const PIECE_BYTES = 768;

interface Sender {
  bytes: number;
  readonly giveUp: () => void;
}

export class HalfReceived {
  private bytes = 0;
  private readonly senders = new Map<object, Sender>();
  private readonly bytesMax: number;

  constructor(bytesMax: number) {
    this.bytesMax = bytesMax;
  }

  /**
   * A piece has come.
   * @param giveUp drops all that has come from there, now or later
   */
  add(from: object, bytes: number, giveUp: () => void): void {
    const sender = this.senders.get(from) ?? { bytes: 0, giveUp };
    this.senders.set(from, sender);
    sender.bytes += PIECE_BYTES + bytes;
    this.bytes += PIECE_BYTES + bytes;
    while (this.bytes > this.bytesMax) this.giveUpLargest();
  }

  /** It is whole, or will not be. What came of the next one in the same piece is not counted. */
  done(from: object): void {
    this.bytes -= this.senders.get(from)?.bytes ?? 0;
    this.senders.delete(from);
  }

  private giveUpLargest(): void {
    const [from, { giveUp }] = [...this.senders].reduce((most, each) => (each[1].bytes > most[1].bytes ? each : most));
    this.done(from);
    giveUp();
  }
}
