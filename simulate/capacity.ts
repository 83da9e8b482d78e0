/**
 * A rate over time, piecewise constant, that repeats itself: bytes that a link carries, or work that a processor does.
 * Integrated exactly with prefix sums, so that "when is this done" costs a binary search.
 */

export interface Piece {
  /** From here until the next piece, in milliseconds. The first is 0, and they rise. */
  readonly atMs: number;
  /** Units a millisecond, not negative. */
  readonly rate: number;
}

export class Capacity {
  readonly periodMs: number;
  /** Units in one period. */
  readonly perPeriod: number;
  private readonly starts: Float64Array;
  private readonly rates: Float64Array;
  /** Units done before each piece, and at the end in all. */
  private readonly done: Float64Array;

  /** @throws RangeError where pieces do not rise from 0, or carry nothing at all */
  constructor(pieces: readonly Piece[], periodMs: number) {
    const count = pieces.length;
    this.periodMs = periodMs;
    this.starts = Float64Array.from(pieces, ({ atMs }) => atMs);
    this.rates = Float64Array.from(pieces, ({ rate }) => rate);
    this.done = new Float64Array(count + 1);
    for (const [i, { atMs, rate }] of pieces.entries()) {
      const endMs = pieces[i + 1]?.atMs ?? periodMs;
      if (!(endMs > atMs && rate >= 0) || (i === 0 && atMs !== 0)) {
        throw new RangeError(`piece ${i}: expected times that rise from 0 to ${periodMs} and rates of 0 or more`);
      }
      this.done[i + 1] = (this.done[i] as number) + (endMs - atMs) * rate;
    }
    this.perPeriod = this.done[count] as number;
    if (!(this.perPeriod > 0 && Number.isFinite(this.perPeriod))) {
      throw new RangeError('expected a rate above 0 somewhere');
    }
  }

  static constant(rate: number): Capacity {
    return new Capacity([{ atMs: 0, rate }], 1000);
  }

  /** The same over time, at a multiple of the rate. */
  scaled(factor: number): Capacity {
    const pieces = Array.from(this.starts, (atMs, i) => ({ atMs, rate: (this.rates[i] as number) * factor }));
    return new Capacity(pieces, this.periodMs);
  }

  /** Units a millisecond at a time. */
  rateAt(atMs: number): number {
    return this.rates[this.pieceAt(phaseOf(atMs, this.periodMs))] as number;
  }

  /** When `units` are done that begin at `atMs`. */
  finish(atMs: number, units: number): number {
    if (units <= 0) return atMs;
    const phase = phaseOf(atMs, this.periodMs);
    const startMs = atMs - phase;
    const target = this.doneAt(phase) + units;
    const periods = Math.floor(target / this.perPeriod);
    const rest = target - periods * this.perPeriod;
    // What ends exactly with a period ended when its last unit was done, not when the next begins to do any.
    if (rest === 0) return startMs + (periods - 1) * this.periodMs + this.timeOf(this.perPeriod);
    return startMs + periods * this.periodMs + this.timeOf(rest);
  }

  /** Units done from one time to a later one. */
  between(fromMs: number, toMs: number): number {
    return toMs <= fromMs ? 0 : this.total(toMs) - this.total(fromMs);
  }

  private total(atMs: number): number {
    const phase = phaseOf(atMs, this.periodMs);
    return ((atMs - phase) / this.periodMs) * this.perPeriod + this.doneAt(phase);
  }

  private doneAt(phaseMs: number): number {
    const i = this.pieceAt(phaseMs);
    return (this.done[i] as number) + (phaseMs - (this.starts[i] as number)) * (this.rates[i] as number);
  }

  /** The last piece that begins no later. */
  private pieceAt(phaseMs: number): number {
    let low = 0;
    let high = this.starts.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if ((this.starts[middle] as number) <= phaseMs) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  /** The first time in a period at which this much is done; above 0, at most all of it. */
  private timeOf(units: number): number {
    let low = 0;
    let high = this.starts.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.done[middle + 1] as number) >= units) high = middle;
      else low = middle + 1;
    }
    return (this.starts[low] as number) + (units - (this.done[low] as number)) / (this.rates[low] as number);
  }
}

function phaseOf(atMs: number, periodMs: number): number {
  const phase = atMs % periodMs;
  return phase < 0 ? phase + periodMs : phase;
}
