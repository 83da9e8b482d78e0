/** The audit log: what left devices, a line of JSON for each request that may be told of, and nothing of what it held. */
import { createWriteStream } from 'node:fs';
import type { Writable } from 'node:stream';
import { finished } from 'node:stream/promises';
import type { Clock } from '../shared/clock.ts';
import { messageOf, TandemError } from '../shared/errors.ts';
import type { DenialKind } from '../shared/policy/permission.ts';

export interface AuditRecord {
  /** A label of the policy; `none` for any other. */
  readonly label: string;
  /** Name of the credentials. */
  readonly tenant: string;
  readonly model: string;
  /** Names of the boundary's tensors; empty where the request named no valid boundary. */
  readonly boundary: readonly string[];
  readonly k: string;
  readonly tier: string;
  /** Of the payload. */
  readonly bytes: number;
  /** The plan's figure; null where it has none. */
  readonly leakage: number | null;
  /** `ok` or an error code in lower case. */
  readonly outcome: string;
  /** What a denial was for. */
  readonly denied: DenialKind | null;
  /** Of the receipt, where one was asked for and given. */
  readonly receipt: string | null;
}

export interface AuditLog {
  write(record: AuditRecord): void;
  /** Resolves when all is written. */
  close(): Promise<void>;
}

/** Bytes that wait for a disk before lines are let go. */
const WAITING_BYTES_MAX = 8 * 1024 * 1024;
/** Pause before a file that failed is opened again. */
const REOPEN_MS = 1000;

export interface AuditLogOptions {
  /** Names where the file was asked for, in errors. */
  readonly where: string;
  /** The time in ISO 8601. */
  readonly time: () => string;
  readonly clock: Pick<Clock, 'after'>;
  /** Told why lines are lost, once each time that it begins. */
  readonly onLoss: (reason: string) => void;
  /** Called for every line that is lost. */
  readonly onLostLine: () => void;
}

/**
 * Appends to the file, or writes to standard output for `stdout`. A file that fails (a full disk) is opened again until it takes
 * lines: those of the meantime are lost, and counted.
 * @throws BAD_CONFIG where the file cannot be opened at first
 */
export async function openAuditLog(
  target: string,
  { where, time, clock, onLoss, onLostLine }: AuditLogOptions,
): Promise<AuditLog> {
  let stream: Writable = target === 'stdout' ? process.stdout : await openFile(target, where);
  let stopTimer = () => {};
  let isLosing = false;
  let isClosed = false;
  const lose = (reason: string) => {
    if (!isLosing) onLoss(`lines of the audit log are lost: ${reason}`);
    isLosing = true;
    onLostLine();
  };
  const reopen = () => {
    stream = createWriteStream(target, { flags: 'a' });
    watch();
  };
  const watch = () => {
    // What it says of it each line hears as well.
    stream.on('error', () => {
      if (target !== 'stdout' && !isClosed) stopTimer = clock.after(REOPEN_MS, reopen);
    });
  };
  watch();
  return {
    write(record) {
      if (stream.writableLength > WAITING_BYTES_MAX) {
        lose(`${stream.writableLength} bytes wait to be written`);
        return;
      }
      stream.write(`${JSON.stringify({ time: time(), ...record })}\n`, (error) => {
        if (error) lose(messageOf(error));
        else isLosing = false;
      });
    },
    async close() {
      isClosed = true;
      stopTimer();
      if (stream === process.stdout || stream.destroyed) return;
      stream.end();
      await finished(stream).catch(() => {});
    },
  };
}

async function openFile(path: string, where: string): Promise<Writable> {
  const stream = createWriteStream(path, { flags: 'a' });
  await new Promise<void>((resolve, reject) => {
    stream.once('open', () => resolve());
    stream.once('error', (error) =>
      reject(new TandemError('BAD_CONFIG', `${where}: cannot write ${path}: ${messageOf(error)}`, { cause: error })),
    );
  });
  return stream;
}
