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

export interface Installations {
  /** Null before `start` has succeeded. */
  readonly known: Installation | null;
  /** Throws CLOSED before `start` has succeeded. */
  readonly current: Installation;
  /** On the plan, or on its head where the plan is not kept from an earlier visit. Rejects as `connectWith` does. */
  start(signal: AbortSignal | undefined): Promise<void>;
  /** Whenever the gateway is reached anew, or may have come to serve another plan. */
  followGateway(): void;
  /** Begins whatever brings the segments, where nothing does yet. */
  complete(): void;
  /** While requests run on it an installation that was replaced is not closed. */
  use<T>(installation: Installation, work: () => Promise<T>): Promise<T>;
  /** After `closing` was aborted. */
  close(): Promise<void>;
}

export function installationsOf({
  wantsSegments,
  servedId,
  closing,
  model,
  planSha256,
  ...given
}: InstallationsOptions): Installations {
  const { host, url, onChange } = given;
  const { clock, files } = host;
  let installed: Installation | null = null;
  let isReplacing = false;
  let deaths = 0;
  /** Devices in a row that could not be made. */
  let failures = 0;
  let bornMs = 0;

  const current = () => {
    if (!installed) throw new TandemError('CLOSED', 'the client is not connected');
    return installed;
  };
  const put = (fresh: Installation) => {
    installed = fresh;
    bornMs = clock.now();
  };
  const isGivenUp = () => deaths + failures >= DEATHS_MAX;
  const installationOptions = (): InstallationOptions => ({ ...given, download: wantsSegments(), onLost: revive });
  const sourceFor = (signal: AbortSignal | undefined): BundleSource => ({
    ...webSource(host, url, model, { signal }),
    planSha256,
  });
  const keptPlan = (source: BundleSource) => readKeptPlan(source, files, clock);
  /** Whether the gateway serves another plan of this name. */
  const isOutdated = ({ name, id }: Plan) => {
    const served = servedId(name);
    return served !== undefined && served !== id;
  };

  function followGateway(): void {
    if (!installed) return;
    if (isOutdated(installed.plan)) void replace(installed, 0);
    // What lay in the place of the files may have been a network's page to log in at.
    else if (installed.lacksFile && wantsSegments()) installed.startDownload();
  }

  function revive(installation: Installation): void {
    if (installed !== installation) return;
    deaths = clock.now() - bornMs > PROVEN_MS ? 1 : deaths + 1;
    void replace(installation, REPLACE_MS * 2 ** deaths);
  }

  /** Puts a fresh installation in the place of `old`, trying until that works or is not needed any more. */
  async function replace(old: Installation, firstPauseMs: number): Promise<void> {
    if (isReplacing) return;
    isReplacing = true;
    try {
      for (let pauseMs = firstPauseMs; !closing.aborted; pauseMs = Math.min(REPLACE_MS_MAX, REPLACE_MS + 2 * pauseMs)) {
        if ((old.lost || old.isHead) && isGivenUp()) {
          old.abandon();
          // What has no worker is served all the same, with the plan that is.
          if (!old.isHead || old.lost || !isOutdated(old.plan)) break;
        }
        if (pauseMs > 0) await pause(clock, pauseMs, closing, host.onWake);
        if (!old.lost && !old.isHead && !isOutdated(old.plan)) break;
        const fresh = await reinstall(old).catch((error: unknown) => noteFailed(old, error));
        if (!fresh) continue;
        if (closing.aborted) return await fresh.close();
        put(fresh);
        if (fresh.isHead && isGivenUp()) {
          fresh.downloadError = old.downloadError;
          fresh.abandon();
        } else failures = 0;
        retire(old);
        break;
      }
    } catch {
      // The client was closed while it paused.
    } finally {
      isReplacing = false;
    }
    onChange();
    const now = current();
    if (closing.aborted || now.isAbandoned) return;
    // A device that died on a plan's head came back on it.
    if (now.isHead || isOutdated(now.plan)) void replace(now, REPLACE_MS);
  }

  function noteFailed(old: Installation, error: unknown): undefined {
    if (hasCode(error, 'DEVICE_FAILED')) {
      // What is not there will not come: service workers have no workers of their own.
      failures += error.cause instanceof ReferenceError ? DEATHS_MAX : 1;
      if (old.isHead) old.setError(messageOf(error));
    }
  }

  async function reinstall(old: Installation): Promise<Installation> {
    const plan = await keptPlan(sourceFor(closing)).catch((error: unknown) => {
      // In a dead zone a device that died comes back with the plan that it had: its segments may be in a cache.
      if (old.lost) return old.plan;
      throw error;
    });
    if (!old.lost && isOutdated(plan)) {
      // Two instances of a gateway, of two versions: the one that serves files is still or already another.
      throw new TandemError('UNAVAILABLE', 'another plan is served than was announced');
    }
    const isFrail = deaths >= DEATHS_WITH_SEGMENTS_MAX;
    const options = installationOptions();
    const isHead = old.isHead && (plan === old.plan || isGivenUp());
    const fresh = await install(plan, { ...options, isHead, download: options.download && !isFrail }, closing);
    if (isFrail) fresh.downloadError = `the device died ${deaths} times: ${old.lost?.message ?? 'no reason'}`;
    return fresh;
  }

  /** Closes an installation that was replaced, once its last request has ended. */
  function retire(installation: Installation): void {
    if (installation === installed || installation.users > 0) return;
    installation.close().catch((error: unknown) => host.report(error));
  }

  return {
    get known() {
      return installed;
    },
    get current() {
      return current();
    },
    async start(signal) {
      const source = sourceFor(signal);
      // Whose head it is only the whole plan tells.
      const isPinned = planSha256 !== undefined;
      const head = isPinned || (await isPlanKept(files, source.name)) ? undefined : await headOf(source);
      const options = installationOptions();
      const plan = head ?? (await keptPlan(source));
      const onHead = () => install(plan, { ...options, isHead: true }, signal);
      // Without a worker the gateway can still answer.
      const otherwise = (error: unknown) => (hasCode(error, 'DEVICE_FAILED') ? onHead() : Promise.reject(error));
      const first = await (head ? onHead() : install(plan, options, signal).catch(otherwise));
      put(first);
      // Without segments the head is all that is ever needed.
      if (first.isHead && wantsSegments()) void replace(first, HEAD_MS);
      else followGateway();
    },
    followGateway,
    complete() {
      const now = current();
      if (!now.lost) now.startDownload();
      if (now.isHead) void replace(now, 0);
    },
    async use(installation, work) {
      installation.users++;
      try {
        return await work();
      } finally {
        installation.users--;
        retire(installation);
      }
    },
    close: async () => installed?.close(),
  };
}

/** Undefined where the gateway has none: it is of an earlier version. */
function headOf(source: BundleSource): Promise<Plan | undefined> {
  return readPlanHead(source).catch((error: unknown) => {
    if (hasCode(error, 'NOT_FOUND')) return undefined;
    throw error;
  });
}
