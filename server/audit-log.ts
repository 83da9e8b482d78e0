/** The audit log: what left devices, a line of JSON for each request that may be told of, and nothing of what it held. */
import { createWriteStream } from 'node:fs';
import { finished } from 'node:stream/promises';
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

export interface AuditLogOptions {
  /** The time in ISO 8601. */
  readonly time: () => string;
  /** Told when lines are lost, once each time that it begins. */
  readonly onLoss: (reason: string) => void;
}

/**
 * Appends to the file, or writes to standard output for `stdout`.
 * @throws BAD_CONFIG where the file cannot be opened
 */
export async function openAuditLog(target: string, { time, onLoss }: AuditLogOptions): Promise<AuditLog> {
  const stream = target === 'stdout' ? process.stdout : await openFile(target);
  let isLosing = false;
  const lose = (reason: string) => {
    if (!isLosing) onLoss(`lines of the audit log are lost: ${reason}`);
    isLosing = true;
  };
  stream.on('error', (error) => lose(messageOf(error)));
  return {
    write(record) {
      if (stream.destroyed || stream.writableLength > WAITING_BYTES_MAX) {
        lose(`${stream.writableLength} bytes wait to be written`);
        return;
      }
      if (stream.write(`${JSON.stringify({ time: time(), ...record })}\n`)) isLosing = false;
    },
    async close() {
      if (stream === process.stdout || stream.destroyed) return;
      stream.end();
      await finished(stream).catch(() => {});
    },
  };
}

async function openFile(path: string) {
  const stream = createWriteStream(path, { flags: 'a' });
  await new Promise<void>((resolve, reject) => {
    stream.once('open', () => resolve());
    stream.once('error', (error) =>
      reject(new TandemError('BAD_CONFIG', `auditLog: cannot write ${path}: ${messageOf(error)}`, { cause: error })),
    );
  });
  return stream;
}
