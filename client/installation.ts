/**
 * One plan on one device: the segments that are loaded so far and the download that brings more. A client replaces its
 * installation when the gateway serves another plan or when the device dies; requests end on the one they began with
 * where they can.
 */
import { asTandemError, hasCode, messageOf, TandemError } from '../shared/errors.ts';
import { depthOf, type Plan } from '../shared/plan.ts';
import type { Estimates } from '../shared/schedule/estimates.ts';
import type { Device, LoadedSegment } from './device.ts';
import { bytesOf, downloadSegments, isOfFile, neededFiles } from './download.ts';
import type { Host } from './host.ts';
import { orAborted } from './or-aborted.ts';
import type { AvailabilityStatus } from './types.ts';

/** Pause before files that were missing, however often they were asked for, are asked for again. */
const MISSING_MS = 60_000;

export interface InstallationOptions {
  readonly host: Host;
  /** The gateway's base URL. */
  readonly url: string;
  readonly estimates: Estimates;
  readonly download: boolean;
  /** Whether it has a plan's head alone: nothing is downloaded to it, and another one takes its place. */
  readonly isHead?: boolean;
  /** Resolves when no request is waiting for the gateway, or when downloads have yielded to them for long enough. */
  whenIdle(): Promise<void>;
  onChange(): void;
  /** The device died: nothing runs on this installation any more. */
  onLost(installation: Installation): void;
}

export class Installation {
  readonly plan: Plan;
  /** Tiers of boundary 0 that the device cannot make. */
  missingTiers: readonly string[] = [];
  /** Segments 1..segmentsReady can run. */
  segmentsReady = 0;
  /** Requests that run on it. */
  users = 0;
  bytesLoaded = 0;
  readonly bytesTotal: number;
  readonly isHead: boolean;
  isDownloading = false;
  downloadError: string | null = null;
  /** Whether that was a file which was not to be had: it may be later. */
  lacksFile = false;
  /** What runs each of the segments that are loaded. */
  readonly providers: string[] = [];
  /** What was tried for them and is not used, and why. */
  demoted: readonly string[] = [];
  /** Why the device is gone, or null while it lives. */
  lost: TandemError | null = null;
  /** Whether nothing takes its place any more, though its device is lost or is none. */
  isAbandoned = false;
  private made: Device | null = null;
  /** Of the next attempt at files that were missing. */
  private stopTimer: () => void = () => {};
  private readonly abort = new AbortController();
  private readonly options: InstallationOptions;

  constructor(plan: Plan, options: InstallationOptions) {
    this.plan = plan;
    this.options = options;
    this.bytesTotal = bytesOf(neededFiles(options.host, plan));
    this.isHead = options.isHead ?? false;
  }

  /** Only after `start`. */
  get device(): Device {
    return this.made as Device;
  }

  get availability(): AvailabilityStatus {
    if (this.isComplete) return 'available';
    if (this.isDownloading) return 'downloading';
    return this.lost || this.downloadError !== null ? 'unavailable' : 'downloadable';
  }

  get isComplete(): boolean {
    return this.segmentsReady === depthOf(this.plan);
  }

  /** Makes the device and begins to download. Rejects with DEVICE_FAILED. */
  async start(): Promise<void> {
    const { host, download } = this.options;
    try {
      const atOnce = this.isHead ? host.headDevice?.(this.plan) : null;
      const device = atOnce ?? (await host.createDevice(this.plan, (reason) => this.lose(reason), this.abort.signal));
      this.made = device;
      if (this.abort.signal.aborted) await device.close();
      this.missingTiers = await device.prepare();
      if (download) this.startDownload();
    } catch (error) {
      throw asTandemError(error, 'DEVICE_FAILED', 'the device could not be made');
    }
  }

  /** Begins the download unless it is under way or done; one that failed begins anew. */
  startDownload(): void {
    if (this.isDownloading || this.isComplete || this.abort.signal.aborted) return;
    this.stopTimer();
    this.isDownloading = true;
    this.lacksFile = false;
    // The whole plan is on its way, and its installation does the rest.
    if (this.isHead) return;
    void this.download(this.device);
  }

  /** What runs segment k+1 from now on. */
  runs(k: number, { provider, demoted }: LoadedSegment): void {
    this.providers[k] = provider;
    this.demoted = demoted;
    this.options.onChange();
  }

  async close(): Promise<void> {
    this.abort.abort();
    this.stopTimer();
    this.isDownloading = false;
    await this.made?.close();
  }

  /** Nothing takes its place any more. */
  abandon(): void {
    this.isAbandoned = true;
    this.isDownloading = false;
  }

  /** Why no segments come; while it is downloading they may come all the same. */
  setError(message: string): void {
    if (message !== this.downloadError) this.options.host.warn?.(message);
    this.downloadError = message;
    this.options.onChange();
  }

  private lose(reason: string): void {
    if (this.abort.signal.aborted) return;
    this.abort.abort();
    this.lost = new TandemError('DEVICE_FAILED', reason);
    this.downloadError = reason;
    this.isDownloading = false;
    this.segmentsReady = 0;
    this.bytesLoaded = 0;
    this.options.onLost(this);
    this.options.onChange();
  }

  private async download(device: Device): Promise<void> {
    const { plan, segmentsReady, bytesLoaded } = this;
    const { signal } = this.abort;
    const { host, url, estimates, whenIdle, onChange } = this.options;
    try {
      await downloadSegments(
        { host, url, plan, device, signal, segmentsReady, bytesLoaded },
        {
          whenIdle,
          onSegment: (k, { value, ms }) => {
            signal.throwIfAborted();
            this.segmentsReady = k + 1;
            this.downloadError = null;
            estimates.observeDevice(plan, device.target, plan.size.min, k, k + 1, ms, host.clock.now());
            this.runs(k, value);
          },
          onTrouble: (message) => this.setError(message),
          onBytes: (bytes) => {
            signal.throwIfAborted();
            this.bytesLoaded = bytes;
            onChange();
          },
        },
      );
    } catch (error) {
      if (signal.aborted) return;
      this.lacksFile = isOfFile(error);
      this.isDownloading = false;
      // While a gateway's instances are replaced, for minutes, the one that serves files may have another plan than the one that answers.
      if (hasCode(error, 'NOT_FOUND')) this.stopTimer = host.clock.after(MISSING_MS, () => this.startDownload());
      return this.setError(messageOf(error));
    }
    this.isDownloading = false;
    onChange();
  }
}

/** An installation that has its device. Rejects with DEVICE_FAILED, or with the signal's reason. */
export async function install(plan: Plan, options: InstallationOptions, signal?: AbortSignal): Promise<Installation> {
  signal?.throwIfAborted();
  const installation = new Installation(plan, options);
  try {
    await (signal ? orAborted(installation.start(), signal) : installation.start());
    return installation;
  } catch (error) {
    await installation.close();
    throw error;
  }
}
