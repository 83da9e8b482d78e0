/**
 * The gateway's queue as server/admission.ts keeps it: workers, first come first served, bounded, shedding what finds
 * it full; with the same word to clients on how long they would wait.
 */
import type { Events } from './events.ts';
import { Outlook } from './outlook.ts';
import type { ServerProfile } from './profiles.ts';

export interface Load {
  readonly queueDepth: number;
  readonly queueMs: number;
}

export interface JobResult {
  readonly queueMs: number;
  readonly serviceMs: number;
  readonly load: Load;
}

export interface Job {
  readonly arriveMs: number;
  /** On a server as fast as the plan's. */
  readonly workMs: number;
  /** Not served after this. */
  readonly expiresMs: number;
  /** When word arrives that nobody waits any more; known once that is sent. */
  cancelMs: number;
  onDone(result: JobResult): void;
  onFailed(code: 'OVERLOADED' | 'DEADLINE_EXCEEDED', retryAfterMs: number): void;
}

/** Weight of the newest service time in the running mean, as in server/admission.ts. */
const SERVICE_WEIGHT = 0.2;

export class Server {
  /** On their way here, in no order. */
  private readonly coming = new Set<Job>();
  private waiting: Job[] = [];
  /** When each busy worker is free. */
  private readonly running: number[] = [];
  private serviceMs = 0;
  private readonly events: Events;
  private readonly profile: ServerProfile;

  constructor(events: Events, profile: ServerProfile) {
    this.events = events;
    this.profile = profile;
  }

  get load(): Load {
    const { workers } = this.profile;
    const ahead = this.waiting.length + Math.max(0, this.running.length - workers + 1);
    return { queueDepth: this.waiting.length, queueMs: (ahead * this.serviceMs) / workers };
  }

  /** Requests that wait or run. */
  get inFlight(): number {
    return this.waiting.length + this.running.length;
  }

  /** A job was sent and will arrive. */
  expect(job: Job): void {
    this.coming.add(job);
    this.events.at(job.arriveMs, () => {
      this.coming.delete(job);
      this.admit(job);
    });
  }

  /** Word was sent that nobody waits for it any more. */
  cancelAt(job: Job, atMs: number): void {
    job.cancelMs = atMs;
    this.events.at(atMs, () => this.remove(job));
  }

  /** What is known now of the time to come. */
  outlook(): Outlook {
    const { workers: count, queueDepthMax, speed } = this.profile;
    const coming = [...this.coming].sort((a, b) => a.arriveMs - b.arriveMs);
    const jobs = [...this.waiting, ...coming].map(({ arriveMs, workMs, cancelMs, expiresMs }) => {
      return { arriveMs, workMs, untilMs: Math.min(cancelMs, expiresMs) };
    });
    return new Outlook({ count, queueDepthMax, speed }, this.running, jobs);
  }

  private admit(job: Job): void {
    const { workers, queueDepthMax } = this.profile;
    if (this.waiting.length >= queueDepthMax && this.running.length >= workers) {
      job.onFailed('OVERLOADED', Math.ceil(this.load.queueMs));
      return;
    }
    this.waiting.push(job);
    this.dispatch();
    if (!this.waiting.includes(job)) return;
    this.events.at(job.expiresMs, () => {
      if (this.remove(job)) job.onFailed('DEADLINE_EXCEEDED', 0);
    });
  }

  private dispatch(): void {
    const { workers, speed } = this.profile;
    while (this.running.length < workers) {
      const job = this.waiting.shift();
      if (!job) return;
      const startMs = this.events.nowMs;
      const endMs = speed.finish(startMs, job.workMs);
      this.running.push(endMs);
      this.events.at(endMs, () => this.end(job, startMs, endMs));
    }
  }

  private end(job: Job, startMs: number, endMs: number): void {
    this.running.splice(this.running.indexOf(endMs), 1);
    const serviceMs = endMs - startMs;
    this.serviceMs = this.serviceMs === 0 ? serviceMs : this.serviceMs + SERVICE_WEIGHT * (serviceMs - this.serviceMs);
    this.dispatch();
    if (endMs > job.expiresMs) job.onFailed('DEADLINE_EXCEEDED', 0);
    else job.onDone({ queueMs: startMs - job.arriveMs, serviceMs, load: this.load });
  }

  private remove(job: Job): boolean {
    const at = this.waiting.indexOf(job);
    if (at >= 0) this.waiting.splice(at, 1);
    return at >= 0;
  }
}
