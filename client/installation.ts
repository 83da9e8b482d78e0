/**
 * One plan on one device: the segments that are loaded so far and the download that brings more. A client replaces its
 * installation when the gateway serves another plan; requests end on the one they began with.
 */
import { readPlan } from '../shared/bundle.ts';
import { messageOf } from '../shared/errors.ts';
import { depthOf, type Plan } from '../shared/plan.ts';
import type { Device } from './device.ts';
import { downloadBytes, downloadSegments, webSource } from './download.ts';
import type { Estimates } from './estimates.ts';
import type { Host } from './host.ts';

export interface InstallationOptions {
  readonly host: Host;
  /** The gateway's base URL. */
  readonly url: string;
  readonly estimates: Estimates;
  readonly download: boolean;
  /** Resolves when no request is waiting for the gateway. */
  whenIdle(): Promise<void>;
  onChange(): void;
}

export class Installation {
  readonly plan: Plan;
  readonly device: Device;
  /** Tiers of boundary 0 that the device cannot make. */
  readonly missingTiers: readonly string[];
  /** Segments 1..segmentsReady can run. */
  segmentsReady = 0;
  /** Requests that run on it. */
  users = 0;
  bytesLoaded = 0;
  readonly bytesTotal: number;
  isDownloading: boolean;
  downloadError: string | null = null;
  private readonly abort = new AbortController();
  private readonly options: InstallationOptions;

  constructor(plan: Plan, device: Device, missingTiers: readonly string[], options: InstallationOptions) {
    this.plan = plan;
    this.device = device;
    this.missingTiers = missingTiers;
    this.options = options;
    this.isDownloading = options.download;
    this.bytesTotal = options.download ? downloadBytes(plan, device.target) : 0;
    if (options.download) void this.download();
  }

  get isComplete(): boolean {
    return this.segmentsReady === depthOf(this.plan);
  }

  async close(): Promise<void> {
    this.abort.abort();
    this.isDownloading = false;
    await this.device.close();
  }

  private async download(): Promise<void> {
    const { plan, device } = this;
    const { host, url, estimates, whenIdle, onChange } = this.options;
    try {
      await downloadSegments(
        { host, url, plan, device, signal: this.abort.signal },
        {
          whenIdle,
          onSegment: (k, { ms }) => {
            this.segmentsReady = k + 1;
            estimates.observeDevice(plan, device.target, plan.size.min, k, k + 1, ms);
            onChange();
          },
          onBytes: (bytes) => {
            this.bytesLoaded = bytes;
            onChange();
          },
        },
      );
    } catch (error) {
      if (!this.abort.signal.aborted) this.downloadError = messageOf(error);
    }
    this.isDownloading = false;
    onChange();
  }
}

/** Fetches the plan and makes a device for it. Throws UNAVAILABLE, NOT_FOUND or BAD_PLAN. */
export async function install(
  model: string,
  options: InstallationOptions,
  signal?: AbortSignal | undefined,
): Promise<Installation> {
  const plan = await readPlan(webSource(options.host, options.url, model, { signal }));
  const device = await options.host.createDevice(plan);
  return new Installation(plan, device, await device.prepare(), options);
}
