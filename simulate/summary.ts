/** One scheduler on one network, or on all of a collection, in figures. */
import { type Calibration, calibrate, coverage, NOTHING_PREDICTED } from '../shared/schedule/calibration.ts';
import type { RequestRecord } from './request.ts';
import type { WorldOptions } from './scenario.ts';
import { type Spread, spreadOf } from './statistics.ts';
import type { WorldResult } from './world.ts';

/** A run of one scheduler on one network. */
export interface Run {
  /** The network and all that was set: the same object in all runs that are to be compared. */
  readonly options: WorldOptions;
  readonly scheduler: string;
  /** Of the best fixed cut, which it was; of the oracle as well where that cut was better than the best of each request. */
  readonly detail: string | null;
  readonly result: WorldResult;
}

export interface Figures {
  readonly requests: number;
  /** From its arrival to its end, in milliseconds: with the wait for the client's earlier ones. */
  readonly latencyMs: Spread;
  /** From its turn to its end, over the best that was possible then, less 1. */
  readonly regret: Spread;
  /** Share that had no answer by the deadline, and ended with it. */
  readonly missed: number;
}

export interface Summary {
  readonly trace: string;
  readonly collection: string;
  readonly scheduler: string;
  readonly detail: string | null;
  /** Without each client's first requests, while it gets to know the network. */
  readonly settled: Figures;
  readonly all: Figures;
  /** Mean and median latency over those of the oracle's own run, less 1; without each client's first requests. */
  readonly toOracle: { readonly mean: number; readonly p50: number };
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

/** One line for each scheduler and network. */
export function summarize(runs: readonly Run[]): Summary[] {
  return groupsOf(runs, ({ options }) => options).flatMap((group) =>
    linesOf(group, group[0]?.options.trace.name ?? ''),
  );
}

/** One line for each scheduler and collection: all requests on all its networks together. */
export function summarizeCollections(runs: readonly Run[]): Summary[] {
  const collectionOf = ({ options: { trace, others, clients } }: Run) =>
    JSON.stringify([trace.collection, others, clients]);
  return groupsOf(runs, collectionOf).flatMap((group) =>
    linesOf(group, `${groupsOf(group, ({ options }) => options).length} traces`),
  );
}

/** @returns runs that have the same key, in the order in which they come */
export function groupsOf(runs: readonly Run[], keyOf: (run: Run) => unknown): Run[][] {
  const groups = new Map<unknown, Run[]>();
  for (const run of runs) {
    const key = keyOf(run);
    const group = groups.get(key);
    if (group) group.push(run);
    else groups.set(key, [run]);
  }
  return [...groups.values()];
}

/** A line for each scheduler of runs on the same networks. */
function linesOf(group: readonly Run[], trace: string): Summary[] {
  const bySchedulers = groupsOf(group, ({ scheduler }) => scheduler);
  const oracle = bySchedulers.find(([first]) => first?.scheduler === 'oracle') ?? [];
  return bySchedulers.map((runs) => summaryOf(runs, oracle, trace));
}

function summaryOf(runs: readonly Run[], oracle: readonly Run[], trace: string): Summary {
  const [first, ...further] = runs as [Run, ...Run[]];
  const records = runs.flatMap(({ result }) => result.records);
  const settled = settledOf(runs);
  const best = figuresOf(settledOf(oracle)).latencyMs;
  const figures = figuresOf(settled);
  const mean = (of: (record: RequestRecord) => number) =>
    records.reduce((sum, one) => sum + of(one), 0) / records.length;
  return {
    ...{ trace, collection: first.options.trace.collection, scheduler: first.scheduler },
    detail: further.length === 0 ? first.detail : null,
    settled: figures,
    all: figuresOf(records),
    toOracle: { mean: figures.latencyMs.mean / best.mean - 1, p50: figures.latencyMs.p50 / best.p50 - 1 },
    bytesUp: mean(({ bytesUp }) => bytesUp),
    bytesDown: mean(({ bytesDown }) => bytesDown),
    energyJ: runs.reduce((sum, { result }) => sum + result.energyJ, 0) / records.length,
    offloaded: mean((record) => (isOffloaded(record) ? 1 : 0)),
    late: mean(({ isLate }) => (isLate ? 1 : 0)),
    shed: mean(({ isShed }) => (isShed ? 1 : 0)),
    within: coverage(settled.reduce(held, NOTHING_PREDICTED)),
  };
}

/** What is counted: without each client's first requests. */
export function settledOf(runs: readonly Run[]): RequestRecord[] {
  return runs.flatMap(({ result }) => result.records.filter(({ index }) => index >= WARM_UP));
}

function held(all: Calibration, { expected, startMs, endMs }: RequestRecord): Calibration {
  return expected ? calibrate(all, expected, endMs - startMs) : all;
}

function figuresOf(records: readonly RequestRecord[]): Figures {
  return {
    requests: records.length,
    latencyMs: spreadOf(records.map(latencyMs)),
    regret: spreadOf(records.flatMap((record) => regretOf(record) ?? [])),
    missed: records.filter(isMissed).length / records.length,
  };
}

/** Whether the server gave the answer. */
export function isOffloaded({ answered }: RequestRecord): boolean {
  return answered !== null && answered.tier !== null;
}

/** Whether it ended at its deadline. */
export function isMissed({ answered }: RequestRecord): boolean {
  return answered === null;
}

export function latencyMs({ arrivedMs, endMs }: RequestRecord): number {
  return endMs - arrivedMs;
}

/** null where the oracle was not asked. */
export function regretOf({ startMs, endMs, best }: RequestRecord): number | null {
  return best && best.ms > 0 ? (endMs - startMs) / best.ms - 1 : null;
}
