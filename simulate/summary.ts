/** One scheduler on one network, or on all of a collection, in figures. */
import { type Calibration, calibrate, coverage, NOTHING_PREDICTED } from '../shared/schedule/calibration.ts';
import type { RequestRecord } from './request.ts';
import { type Spread, spreadOf } from './statistics.ts';
import type { WorldResult } from './world.ts';

/** A run of one scheduler on one trace. */
export interface Run {
  readonly trace: string;
  readonly collection: string;
  readonly scheduler: string;
  /** Of the best fixed cut, which it was. */
  readonly detail: string | null;
  /** How many requests were made: as many as there must be answers. */
  readonly asked: number;
  readonly result: WorldResult;
}

export interface Figures {
  readonly requests: number;
  /** From its arrival to its answer, in milliseconds: with the wait for the client's earlier ones. */
  readonly latencyMs: Spread;
  /** From its turn to its answer, over the best that was possible then, less 1. */
  readonly regret: Spread;
  /** Share that was answered after the deadline. */
  readonly missed: number;
}

export interface Summary {
  readonly trace: string;
  readonly collection: string;
  readonly scheduler: string;
  readonly detail: string | null;
  readonly lost: number;
  /** Without each client's first requests, while it gets to know the network. */
  readonly settled: Figures;
  readonly all: Figures;
  /** Mean latency over that of the oracle's own run, less 1. */
  readonly toOracle: number;
  /** Each request, in the mean. */
  readonly bytesUp: number;
  readonly bytesDown: number;
  readonly energyJ: number;
  /** Shares of requests. */
  readonly offloaded: number;
  readonly late: number;
  readonly shed: number;
  /** Share that took what its scheduler expected of nine in ten; null where it expects nothing. */
  readonly within: number | null;
}

/** Requests that a client may take to get to know a network. */
export const WARM_UP = 20;

/** One line for each scheduler and trace. */
export function summarize(runs: readonly Run[]): Summary[] {
  return runs.map((run) => {
    const peer = runs.find(({ scheduler, trace }) => scheduler === 'oracle' && trace === run.trace);
    return summaryOf([run], peer ? [peer] : [], run);
  });
}

/** One line for each scheduler and collection: all requests on all its traces together. */
export function summarizeCollections(runs: readonly Run[]): Summary[] {
  const collections = [...new Set(runs.map(({ collection }) => collection))];
  return collections.flatMap((collection) => {
    const own = runs.filter((run) => run.collection === collection);
    const oracle = own.filter(({ scheduler }) => scheduler === 'oracle');
    const traces = new Set(own.map(({ trace }) => trace)).size;
    return [...new Set(own.map(({ scheduler }) => scheduler))].map((scheduler) => {
      const of = own.filter((run) => run.scheduler === scheduler);
      return summaryOf(of, oracle, { trace: `${traces} traces`, collection, scheduler, detail: null });
    });
  });
}

function summaryOf(
  runs: readonly Run[],
  oracle: readonly Run[],
  named: Pick<Summary, 'trace' | 'collection' | 'scheduler' | 'detail'>,
): Summary {
  const records = runs.flatMap(({ result }) => result.records);
  const mean = (of: (record: RequestRecord) => number) =>
    records.reduce((sum, one) => sum + of(one), 0) / records.length;
  const all = figuresOf(records);
  const bestMs = figuresOf(oracle.flatMap(({ result }) => result.records)).latencyMs.mean;
  const { trace, collection, scheduler, detail } = named;
  return {
    ...{
      trace,
      collection,
      scheduler,
      detail,
      all,
      settled: figuresOf(records.filter(({ index }) => index >= WARM_UP)),
    },
    lost: runs.reduce((sum, { asked, result }) => sum + asked - result.records.length, 0),
    toOracle: all.latencyMs.mean / bestMs - 1,
    bytesUp: mean(({ bytesUp }) => bytesUp),
    bytesDown: mean(({ bytesDown }) => bytesDown),
    energyJ: runs.reduce((sum, { result }) => sum + result.energyJ, 0) / records.length,
    offloaded: mean(({ answered }) => (answered.tier === null ? 0 : 1)),
    late: mean(({ isLate }) => (isLate ? 1 : 0)),
    shed: mean(({ isShed }) => (isShed ? 1 : 0)),
    within: coverage(records.filter(({ index }) => index >= WARM_UP).reduce(held, NOTHING_PREDICTED)),
  };
}

function held(all: Calibration, { expected, startMs, endMs }: RequestRecord): Calibration {
  return expected ? calibrate(all, expected, endMs - startMs) : all;
}

function figuresOf(records: readonly RequestRecord[]): Figures {
  return {
    requests: records.length,
    latencyMs: spreadOf(records.map(latencyMs)),
    regret: spreadOf(records.flatMap((record) => regretOf(record) ?? [])),
    missed: records.reduce((count, { isMissed }) => count + (isMissed ? 1 : 0), 0) / records.length,
  };
}

export function latencyMs({ arrivedMs, endMs }: RequestRecord): number {
  return endMs - arrivedMs;
}

/** null where the oracle was not asked. */
export function regretOf({ startMs, endMs, best }: RequestRecord): number | null {
  return best && best.ms > 0 ? (endMs - startMs) / best.ms - 1 : null;
}
