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

export interface Installation {
  readonly plan: Plan;
  readonly device: Device;
  /** Tiers of boundary 0 that the device cannot make. */
  readonly missingTiers: readonly string[];
  /** Segments 1..segmentsReady can run. */
  readonly segmentsReady: number;
  /** Requests that run on it. */
  users: number;
  readonly bytesLoaded: number;
  readonly bytesTotal: number;
  readonly isHead: boolean;
  readonly isDownloading: boolean;
  readonly isComplete: boolean;
  readonly availability: AvailabilityStatus;
  downloadError: string | null;
  /** Whether that was a file which was not to be had: it may be later. */
  readonly lacksFile: boolean;
  /** What runs each of the segments that are loaded. */
  readonly providers: readonly string[];
  /** What was tried for them and is not used, and why. */
  readonly demoted: readonly string[];
  /** Why the device is gone, or null while it lives. */
  readonly lost: TandemError | null;
  /** Whether nothing takes its place any more, though its device is lost or is none. */
  readonly isAbandoned: boolean;
  /** Begins the download unless it is under way or done; one that failed begins anew. */
  startDownload(): void;
  /** What runs segment k+1 from now on. */
  runs(k: number, loaded: LoadedSegment): void;
  close(): Promise<void>;
  /** Nothing takes its place any more. */
  abandon(): void;
  /** Why no segments come; while it is downloading they may come all the same. */
  setError(message: string): void;
}

/** With its device; begins to download. Rejects with DEVICE_FAILED, or with the signal's reason. */
export async function install(
  plan: Plan,
  { host, url, estimates, download, isHead = false, whenIdle, onChange, onLost }: InstallationOptions,
  stop?: AbortSignal,
): Promise<Installation> {
  stop?.throwIfAborted();
  const abort = new AbortController();
  const { signal } = abort;
  let made: Device | null = null;
  /** Of the next attempt at files that were missing. */
  let stopTimer = () => {};
  const providers: string[] = [];
  const self = {
    ...{ plan, isHead, providers, bytesTotal: bytesOf(neededFiles(host, plan)) },
    ...{ segmentsReady: 0, users: 0, bytesLoaded: 0, isDownloading: false, lacksFile: false, isAbandoned: false },
    missingTiers: [] as readonly string[],
    demoted: [] as readonly string[],
    downloadError: null as string | null,
    lost: null as TandemError | null,
    get device() {
      return made as Device;
    },
    get availability(): AvailabilityStatus {
      if (self.isComplete) return 'available';
      if (self.isDownloading) return 'downloading';
      return self.lost || self.downloadError !== null ? 'unavailable' : 'downloadable';
    },
    get isComplete(): boolean {
      return self.segmentsReady === depthOf(plan);
    },
    startDownload() {
      if (self.isDownloading || self.isComplete || signal.aborted) return;
      stopTimer();
      self.isDownloading = true;
      self.lacksFile = false;
      // The whole plan is on its way, and its installation does the rest.
      if (!isHead) void bring();
    },
    runs(k: number, { provider, demoted }: LoadedSegment) {
      providers[k] = provider;
      self.demoted = demoted;
      onChange();
    },
    async close() {
      abort.abort();
      stopTimer();
      self.isDownloading = false;
      await made?.close();
    },
    abandon() {
      self.isAbandoned = true;
      self.isDownloading = false;
    },
    setError(message: string) {
      if (message !== self.downloadError) host.warn?.(message);
      self.downloadError = message;
      onChange();
    },
  };

  function lose(reason: string): void {
    if (signal.aborted) return;
    abort.abort();
    self.lost = new TandemError('DEVICE_FAILED', reason);
    self.downloadError = reason;
    self.isDownloading = false;
    self.segmentsReady = 0;
    self.bytesLoaded = 0;
    onLost(self);
    onChange();
  }

  async function bring(): Promise<void> {
    const { device, segmentsReady, bytesLoaded } = self;
    try {
      await downloadSegments({
        ...{ host, url, plan, device, signal, segmentsReady, bytesLoaded, whenIdle },
        onSegment(k, { value, ms }) {
          signal.throwIfAborted();
          self.segmentsReady = k + 1;
          self.downloadError = null;
          estimates.observeDevice(plan, device.target, plan.size.min, k, k + 1, ms, host.clock.now());
          self.runs(k, value);
        },
        onTrouble: self.setError,
        onBytes(bytes) {
          signal.throwIfAborted();
          self.bytesLoaded = bytes;
          onChange();
        },
      });
    } catch (error) {
      if (signal.aborted) return;
      self.lacksFile = isOfFile(error);
      self.isDownloading = false;
      // While a gateway's instances are replaced, for minutes, the one that serves files may have another plan than the one that answers.
      if (hasCode(error, 'NOT_FOUND')) stopTimer = host.clock.after(MISSING_MS, self.startDownload);
      return self.setError(messageOf(error));
    }
    self.isDownloading = false;
    onChange();
  }

  async function start(): Promise<void> {
    try {
      made = (isHead ? host.headDevice?.(plan) : null) ?? (await host.createDevice(plan, lose, signal));
      if (signal.aborted) await made.close();
      self.missingTiers = await made.prepare();
      if (download) self.startDownload();
    } catch (error) {
      throw asTandemError(error, 'DEVICE_FAILED', 'the device could not be made');
    }
  }

  try {
    await (stop ? orAborted(start(), stop) : start());
    return self;
  } catch (error) {
    await self.close();
    throw error;
  }
}
