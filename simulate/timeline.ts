/** Many clients on one server, second by second: whether they all go to it, and all leave it, at once. */
import { isMissed, isOffloaded } from './summary.ts';
import { SECOND_MS, type WorldResult } from './world.ts';

export interface TimelineSecond {
  readonly second: number;
  /** Requests that began in it, by how they were answered in the end. */
  readonly requests: number;
  readonly offloaded: number;
  readonly missed: number;
  readonly shed: number;
  /** Waiting or running at the server. */
  readonly inFlight: number;
}

export interface Timeline {
  /** Those in which there was something to answer. */
  readonly seconds: readonly TimelineSecond[];
  /** Mean change of the offloaded share from one second to the next: near 0 where clients do not herd. */
  readonly swing: number;
}

export function timelineOf({ records, samples }: WorldResult): Timeline {
  const seconds = samples.map(({ atMs, inFlight }) => ({
    ...{ second: Math.floor(atMs / SECOND_MS), inFlight, requests: 0, offloaded: 0, missed: 0, shed: 0 },
  }));
  const bySecond = new Map(seconds.map((one) => [one.second, one]));
  for (const record of records) {
    const second = bySecond.get(Math.floor(record.startMs / SECOND_MS));
    if (!second) continue;
    second.requests++;
    if (isOffloaded(record)) second.offloaded++;
    if (isMissed(record)) second.missed++;
    if (record.isShed) second.shed++;
  }
  const shares = seconds.filter(({ requests }) => requests > 0).map(({ offloaded, requests }) => offloaded / requests);
  const changes = shares.slice(1).map((share, i) => Math.abs(share - (shares[i] as number)));
  const swing = changes.length === 0 ? 0 : changes.reduce((sum, change) => sum + change, 0) / changes.length;
  return { seconds, swing };
}
