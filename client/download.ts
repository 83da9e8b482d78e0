/**
 * Fetches a plan's segments in chain order and hands them to the device, so that k grows while the app is in use.
 * Segments yield the link: none of their parts is asked for while a request is under way. The engine comes in one piece, since
 * browsers ask for parts unencoded, which it is five times as large as; so do assets.
 */
import { type BundleSource, readPlanFile } from '../shared/bundle.ts';
import { hasCode, messageOf, TandemError } from '../shared/errors.ts';
import type { Plan, PlanFile } from '../shared/plan.ts';
import { filePath, modelPath } from '../shared/protocol/paths.ts';
import type { Device, LoadedSegment, Timed } from './device.ts';
import { type FetchOptions, fetchBytes, type Parts } from './fetch-bytes.ts';
import { evict, keptSource } from './file-store.ts';
import type { Host } from './host.ts';
import { pause } from './pause.ts';
import { provideRuntime } from './runtime-file.ts';

/** Attempts for a file that is not there or not what the plan names. A network that fails is tried for good. */
const WRONG_FILES_MAX = 5;
/** The pause before each new attempt doubles. */
const RETRY_MS = 1_000;
const RETRY_MS_MAX = 30_000;
const PLAN_BYTES_MAX = 4 * 1024 * 1024;

type NeededFile = Pick<PlanFile, 'sha256' | 'bytes'>;

/** A model's bundle as its gateway serves it, or as it was kept. Reads reject with UNAVAILABLE, NOT_FOUND or BAD_DOWNLOAD. */
export function webSource(host: Host, url: string, model: string, options: WebSourceOptions = {}): BundleSource {
  const base = `${url}${modelPath(model)}`;
  const get = (address: string, bytesMax: number) => fetchBytes(host, address, { ...options, bytesMax });
  const served: BundleSource = {
    name: base,
    text: async (file) => new TextDecoder().decode(await get(`${base}/${file}`, PLAN_BYTES_MAX)),
    bytes: (file) => get(`${url}${filePath(model, file)}`, file.bytes),
    sha256: host.sha256,
  };
  return keptSource(served, host.files);
}

export type WebSourceOptions = Omit<FetchOptions, 'bytesMax'>;

/**
 * Loads the runtime, keeps the plan's assets, without which an answer may be of no use offline, and loads all segments of the
 * device's target. Rejects where one cannot be had; those before it stay usable.
 */
export async function downloadSegments({
  host,
  url,
  plan,
  device,
  signal,
  segmentsReady,
  bytesLoaded,
  whenIdle,
  onSegment,
  onBytes,
  onTrouble,
}: Download): Promise<void> {
  const { runtimeFile } = host;
  let finished = 0;
  /** Of the file under way. Monotone: what is fetched anew is not counted back. */
  let most = bytesLoaded;
  const countTo = (bytes: number) => {
    most = Math.max(most, finished + bytes);
    onBytes(most);
  };
  const fileDone = (bytes: number) => {
    finished += bytes;
    countTo(0);
  };
  const fetched = async <T>(
    file: NeededFile,
    read: (options: WebSourceOptions) => Promise<T>,
    parts?: Parts,
  ): Promise<T> => {
    const received = { length: 0 };
    /** When it broke off last. */
    let before = 0;
    const onPiece = (bytes: number) => countTo(Math.min(bytes, file.bytes));
    const work = () => read({ signal, onBytes: onPiece, received, parts });
    let wrongFiles = 0;
    for (let attempt = 0; ; attempt++) {
      try {
        // Of two tabs that need a file one fetches it; the other finds it kept.
        return await (host.alone ? host.alone(file.sha256, work) : work());
      } catch (error) {
        // A gateway of several instances may be in the middle of becoming another.
        const isWrong = isOfFile(error);
        const mayPass = error instanceof TandemError && error.retryable && !isWrong;
        // Whole it comes encoded, which its rest does not: that is several times as large. It may always break off there, though.
        const isBestAnew = !parts && before === 0 && received.length < file.bytes / 2;
        if (received.length > before) attempt = 0;
        before = received.length;
        if (isWrong || isBestAnew) received.length = 0;
        if (signal.aborted || !(mayPass || (isWrong && ++wrongFiles < WRONG_FILES_MAX))) throw error;
        if (isWrong) onTrouble(messageOf(error));
        await pause(host.clock, Math.min(RETRY_MS_MAX, RETRY_MS * 2 ** attempt), signal, host.onWake);
      }
    }
  };
  const ofPlan = (file: PlanFile) => (options: WebSourceOptions) =>
    readPlanFile(webSource(host, url, plan.name, options), file);
  if (segmentsReady > 0) finished += runtimeFile?.bytes ?? 0;
  else if (runtimeFile && device.provide) {
    const { provide } = device;
    await fetched(runtimeFile, (options) => provideRuntime(host, runtimeFile, provide, options));
    fileDone(runtimeFile.bytes);
  }
  for (const file of Object.values(plan.assets)) {
    await fetched(file, ofPlan(file)).catch((error: unknown) => {
      // Answers come all the same; whoever reads the asset hears of it.
      if (!isOfFile(error)) throw error;
    });
    fileDone(file.bytes);
  }
  const parts = { bytes: 32 * 1024, rttMs: Number.POSITIVE_INFINITY, whenIdle };
  for (const [k, segment] of plan.segments.entries()) {
    const file = segment.targets[device.target];
    if (!file) throw new TandemError('UNSUPPORTED', `the plan has no segments for the target ${device.target}`);
    if (k < segmentsReady) {
      finished += file.bytes;
      continue;
    }
    const bytes = await fetched(file, ofPlan(file), host.partInit && parts);
    await whenIdle();
    onSegment(k, await device.load(k, bytes));
    fileDone(file.bytes);
  }
  await evict(host.files, runtimeFile?.release);
}

/** Whether a file was not to be had, or is not the one that it is to be. */
export function isOfFile(error: unknown): boolean {
  return hasCode(error, 'BAD_BUNDLE', 'NOT_FOUND', 'BAD_DOWNLOAD');
}

export interface Download {
  readonly host: Host;
  readonly url: string;
  readonly plan: Plan;
  readonly device: Device;
  readonly signal: AbortSignal;
  /** What an earlier attempt brought. */
  readonly segmentsReady: number;
  readonly bytesLoaded: number;
  /** Segment k+1 runs now. `ms` is the time of a run at the smallest size. */
  onSegment(k: number, loaded: Timed<LoadedSegment>): void;
  onBytes(bytesLoaded: number): void;
  /** A file is not the one that it is to be, or not there; it is tried again. */
  onTrouble(message: string): void;
  /** Resolves when no request is under way, or after a while: a download that yields must not starve. */
  whenIdle(): Promise<void>;
}

/** What the device will have in the end: engine, model and assets, as far as the plan has them. */
export function neededFiles({ runtimeFile, target }: Host, { segments, assets }: Plan): readonly NeededFile[] {
  const files = [runtimeFile, ...segments.map(({ targets }) => targets[target]), ...Object.values(assets)];
  return files.flatMap((file) => file ?? []);
}

export function bytesOf(files: readonly NeededFile[]): number {
  return files.reduce((sum, { bytes }) => sum + bytes, 0);
}
