/** What a server will be busy with, as far as it is known at one moment: made once, asked for every choice. */
import type { Capacity } from './capacity.ts';

export interface KnownJob {
  readonly arriveMs: number;
  readonly workMs: number;
  /** It is not begun from this time on: nobody waits for it any more. */
  readonly untilMs: number;
}

export interface Workers {
  readonly count: number;
  readonly queueDepthMax: number;
  readonly speed: Capacity;
}

/** State after each known job, in the order in which they are served. */
interface Step {
  readonly arriveMs: number;
  /** When each busy worker is free, by rising time. */
  readonly free: readonly number[];
  /** How many of `starts` are known by now. */
  readonly begun: number;
}

export class Outlook {
  private readonly steps: Step[] = [];
  /** When each job begins: first come first served, so they rise. */
  private readonly starts: number[] = [];
  /** Those that wait and will never begin. */
  private readonly vain: KnownJob[] = [];
  private readonly workers: Workers;

  /**
   * @param busy when workers that run now are free
   * @param jobs by rising time of arrival
   */
  constructor(workers: Workers, busy: readonly number[], jobs: readonly KnownJob[]) {
    this.workers = workers;
    this.steps.push({ arriveMs: Number.NEGATIVE_INFINITY, free: [...busy].sort((a, b) => a - b), begun: 0 });
    for (const job of jobs) this.add(job);
  }

  /** When one that arrives then would be done. Infinity where it would be shed, or would not be done in time. */
  finish(arriveMs: number, workMs: number, expiresMs: number): number {
    const step = this.before(arriveMs);
    if (this.isShed(step, arriveMs)) return Number.POSITIVE_INFINITY;
    const end = this.workers.speed.finish(this.startOf(step, arriveMs), workMs);
    return end > expiresMs ? Number.POSITIVE_INFINITY : end;
  }

  private add({ arriveMs, workMs, untilMs }: KnownJob): void {
    const last = this.steps.at(-1) as Step;
    const start = this.startOf(last, arriveMs);
    if (this.isShed(last, arriveMs)) return;
    // What finds a worker free is begun as it comes.
    if (start > arriveMs && start >= untilMs) {
      this.vain.push({ arriveMs, workMs, untilMs });
      return;
    }
    const free = last.free.length < this.workers.count ? [...last.free] : last.free.slice(1);
    const end = this.workers.speed.finish(start, workMs);
    const at = free.findIndex((ms) => ms > end);
    free.splice(at < 0 ? free.length : at, 0, end);
    this.starts.push(start);
    this.steps.push({ arriveMs, free, begun: this.starts.length });
  }

  private startOf({ free }: Step, arriveMs: number): number {
    return free.length < this.workers.count ? arriveMs : Math.max(arriveMs, free[0] as number);
  }

  /** No worker is free then, and as many wait as may. */
  private isShed(step: Step, arriveMs: number): boolean {
    if (this.startOf(step, arriveMs) <= arriveMs) return false;
    let waiting = 0;
    while (waiting < step.begun && (this.starts[step.begun - 1 - waiting] as number) > arriveMs) waiting++;
    for (const job of this.vain) if (job.arriveMs <= arriveMs && job.untilMs > arriveMs) waiting++;
    return waiting >= this.workers.queueDepthMax;
  }

  private before(arriveMs: number): Step {
    let i = this.steps.length - 1;
    while ((this.steps[i] as Step).arriveMs > arriveMs) i--;
    return this.steps[i] as Step;
  }
}
