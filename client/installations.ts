/**
 * Which installation a client is on: the first one, on a plan's head where that is all there is yet, and those that take its place
 * when the rest of the plan has come, the gateway serves another plan, or the device dies.
 */
import { type BundleSource, readPlanHead } from '../shared/bundle.ts';
import { hasCode, messageOf, TandemError } from '../shared/errors.ts';
import type { Plan } from '../shared/plan.ts';
import type { Estimates } from '../shared/schedule/estimates.ts';
import { webSource } from './download.ts';
import { isPlanKept, readKeptPlan } from './file-store.ts';
import type { Host } from './host.ts';
import { type Installation, type InstallationOptions, install } from './installation.ts';
import { pause } from './pause.ts';

/** Pause before another attempt to replace an installation; doubles each time. */
const REPLACE_MS = 500;
const REPLACE_MS_MAX = 30_000;
/** Before the rest of a plan is fetched: the first request goes first. */
const HEAD_MS = 400;
/** A device that dies this often in a row gets no more segments: what kills it would do so again. */
const DEATHS_WITH_SEGMENTS_MAX = 3;
/** And when it dies this often it is given up. */
const DEATHS_MAX = 6;
/** A device that lived this long did not die of what killed the one before. */
const PROVEN_MS = 300_000;

export interface InstallationsOptions {
  readonly host: Host;
  /** The gateway's base URL. */
  readonly url: string;
  readonly model: string;
  /** Of the one plan that is accepted. */
  readonly planSha256: string | undefined;
  readonly estimates: Estimates;
  /** Whether a device is to have segments, as of now. */
  wantsSegments(): boolean;
  /** Of the plan that the gateway serves by this name; undefined where it has not said. */
  servedId(name: string): string | undefined;
  /** Resolves when no request is waiting for the gateway, or when downloads have yielded to them for long enough. */
  whenIdle(): Promise<void>;
  onChange(): void;
  /** Aborted when the client is closed. */
  readonly closing: AbortSignal;
}

export class Installations {
  private installed: Installation | null = null;
  private isReplacing = false;
  private deaths = 0;
  /** Devices in a row that could not be made. */
  private failures = 0;
  private bornMs = 0;
  private readonly options: InstallationsOptions;

  constructor(options: InstallationsOptions) {
    this.options = options;
  }

  /** Null before `start` has succeeded. */
  get known(): Installation | null {
    return this.installed;
  }

  /** Throws CLOSED before `start` has succeeded. */
  get current(): Installation {
    if (!this.installed) throw new TandemError('CLOSED', 'the client is not connected');
    return this.installed;
  }

  /** On the plan, or on its head where the plan is not kept from an earlier visit. Rejects as `connectWith` does. */
  async start(signal: AbortSignal | undefined): Promise<void> {
    const { host } = this.options;
    const source = this.source(signal);
    // Whose head it is only the whole plan tells.
    const isPinned = this.options.planSha256 !== undefined;
    const head = isPinned || (await isPlanKept(host.files, source.name)) ? undefined : await headOf(source);
    const options = this.installationOptions();
    const plan = head ?? (await this.keptPlan(source));
    const onHead = () => install(plan, { ...options, isHead: true }, signal);
    // Without a worker the gateway can still answer.
    const otherwise = (error: unknown) => (hasCode(error, 'DEVICE_FAILED') ? onHead() : Promise.reject(error));
    this.installed = await (head ? onHead() : install(plan, options, signal).catch(otherwise));
    this.bornMs = host.clock.now();
    // Without segments the head is all that is ever needed.
    if (this.installed.isHead && this.options.wantsSegments()) void this.replace(this.installed, HEAD_MS);
    else this.followGateway();
  }

  /** Whenever the gateway is reached anew, or may have come to serve another plan. */
  followGateway(): void {
    const { installed } = this;
    if (!installed) return;
    if (this.isOutdated(installed.plan)) void this.replace(installed, 0);
    // What lay in the place of the files may have been a network's page to log in at.
    else if (installed.lacksFile && this.options.wantsSegments()) installed.startDownload();
  }

  /** Begins whatever brings the segments, where nothing does yet. */
  complete(): void {
    const { current } = this;
    if (!current.lost) current.startDownload();
    if (current.isHead) void this.replace(current, 0);
  }

  /** While requests run on it an installation that was replaced is not closed. */
  async use<T>(installation: Installation, work: () => Promise<T>): Promise<T> {
    installation.users++;
    try {
      return await work();
    } finally {
      installation.users--;
      this.retire(installation);
    }
  }

  /** After `closing` was aborted. */
  async close(): Promise<void> {
    await this.installed?.close();
  }

  private get isGivenUp(): boolean {
    return this.deaths + this.failures >= DEATHS_MAX;
  }

  private get isClosed(): boolean {
    return this.options.closing.aborted;
  }

  private installationOptions(): InstallationOptions {
    const { host, url, estimates, whenIdle, onChange, wantsSegments } = this.options;
    return {
      ...{ host, url, estimates, whenIdle, onChange, download: wantsSegments() },
      onLost: (installation) => this.revive(installation),
    };
  }

  private source(signal?: AbortSignal, whenIdle: () => Promise<void> = () => Promise.resolve()): BundleSource {
    const { host, url, model, planSha256 } = this.options;
    return { ...webSource(host, url, model, { signal, whenIdle }), planSha256 };
  }

  private keptPlan(source: BundleSource): Promise<Plan> {
    const { files, clock } = this.options.host;
    return readKeptPlan(source, files, clock);
  }

  /** Whether the gateway serves another plan of this name. */
  private isOutdated({ name, id }: Plan): boolean {
    const served = this.options.servedId(name);
    return served !== undefined && served !== id;
  }

  private revive(installation: Installation): void {
    if (this.installed !== installation) return;
    const livedMs = this.options.host.clock.now() - this.bornMs;
    this.deaths = livedMs > PROVEN_MS ? 1 : this.deaths + 1;
    void this.replace(installation, REPLACE_MS * 2 ** this.deaths);
  }

  /** Puts a fresh installation in the place of `old`, trying until that works or is not needed any more. */
  private async replace(old: Installation, firstPauseMs: number): Promise<void> {
    if (this.isReplacing) return;
    this.isReplacing = true;
    const { host, closing } = this.options;
    const { clock } = host;
    try {
      for (let pauseMs = firstPauseMs; !this.isClosed; pauseMs = Math.min(REPLACE_MS_MAX, REPLACE_MS + 2 * pauseMs)) {
        if ((old.lost || old.isHead) && this.isGivenUp) {
          old.abandon();
          // What has no worker is served all the same, with the plan that is.
          if (!old.isHead || old.lost || !this.isOutdated(old.plan)) break;
        }
        if (pauseMs > 0) await pause(clock, pauseMs, closing, host.onWake);
        if (!old.lost && !old.isHead && !this.isOutdated(old.plan)) break;
        const fresh = await this.reinstall(old).catch((error: unknown) => this.noteFailed(old, error));
        if (!fresh) continue;
        if (this.isClosed) return await fresh.close();
        this.installed = fresh;
        this.bornMs = clock.now();
        if (fresh.isHead && this.isGivenUp) {
          fresh.downloadError = old.downloadError;
          fresh.abandon();
        } else this.failures = 0;
        this.retire(old);
        break;
      }
    } catch {
      // The client was closed while it paused.
    } finally {
      this.isReplacing = false;
    }
    this.options.onChange();
    const { current } = this;
    if (this.isClosed || current.isAbandoned) return;
    // A device that died on a plan's head came back on it.
    if (current.isHead || this.isOutdated(current.plan)) void this.replace(current, REPLACE_MS);
  }

  private noteFailed(old: Installation, error: unknown): undefined {
    if (hasCode(error, 'DEVICE_FAILED')) {
      // What is not there will not come: service workers have no workers of their own.
      this.failures += error.cause instanceof ReferenceError ? DEATHS_MAX : 1;
      if (old.isHead) old.setError(messageOf(error));
    }
  }

  private async reinstall(old: Installation): Promise<Installation> {
    const { closing, whenIdle } = this.options;
    const plan = await this.keptPlan(this.source(closing, whenIdle)).catch((error: unknown) => {
      // In a dead zone a device that died comes back with the plan that it had: its segments may be in a cache.
      if (old.lost) return old.plan;
      throw error;
    });
    if (!old.lost && this.isOutdated(plan)) {
      // Two instances of a gateway, of two versions: the one that serves files is still or already another.
      throw new TandemError('UNAVAILABLE', 'another plan is served than was announced');
    }
    const isFrail = this.deaths >= DEATHS_WITH_SEGMENTS_MAX;
    const options = this.installationOptions();
    const isHead = old.isHead && (plan === old.plan || this.isGivenUp);
    const fresh = await install(plan, { ...options, isHead, download: options.download && !isFrail }, closing);
    if (isFrail) fresh.downloadError = `the device died ${this.deaths} times: ${old.lost?.message ?? 'no reason'}`;
    return fresh;
  }

  /** Closes an installation that was replaced, once its last request has ended. */
  private retire(installation: Installation): void {
    if (installation === this.installed || installation.users > 0) return;
    installation.close().catch((error: unknown) => this.options.host.report(error));
  }
}

/** Undefined where the gateway has none: it is of an earlier version. */
function headOf(source: BundleSource): Promise<Plan | undefined> {
  return readPlanHead(source).catch((error: unknown) => {
    if (hasCode(error, 'NOT_FOUND')) return undefined;
    throw error;
  });
}
