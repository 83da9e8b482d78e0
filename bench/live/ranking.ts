/** Whether policies rank the same live as simulated. */
export interface Row {
  readonly name: string;
  readonly liveMs: number;
  readonly simulatedMs: number;
  /** Shares of requests, live and simulated. */
  readonly offloaded: number;
  readonly simulatedOffloaded: number;
  readonly late: number;
  readonly simulatedLate: number;
}

/** Means that are closer than this are one place. */
const TIE = 0.03;

/** Pairs of names that one of the two puts first, and the other second, by more than a tie in either. */
export function misplaced(rows: readonly Row[]): [string, string][] {
  const placeOf = (a: number, b: number) => (Math.abs(Math.log(a / b)) < TIE ? 0 : Math.sign(a - b));
  return rows.flatMap((a, i) =>
    rows
      .slice(i + 1)
      .filter((b) => placeOf(a.liveMs, b.liveMs) * placeOf(a.simulatedMs, b.simulatedMs) < 0)
      .map((b): [string, string] => [a.name, b.name]),
  );
}
