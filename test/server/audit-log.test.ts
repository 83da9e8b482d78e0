import { appendFile, mkdtemp, readFile, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { type AuditRecord, openAuditLog } from '../../server/audit-log.ts';
import { systemClock } from '../../shared/clock.ts';
import { tandemError } from '../shared/tandem-error.ts';

const RECORD: AuditRecord = {
  ...{ label: 'public', tenant: 'anonymous', model: 'small', boundary: ['h'], k: '1', tier: 'q8' },
  ...{ bytes: 9, leakage: null, outcome: 'ok', denied: null, receipt: null },
};
const refuse = (reason?: string) => {
  throw new Error(reason ?? 'a line was lost');
};
const options = {
  where: 'tandem.json: auditLog',
  time: () => 'now',
  clock: systemClock(globalThis),
  onLoss: refuse,
  onLostLine: refuse,
};

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'tandem-audit-'));
});
afterEach(() => rm(dir, { recursive: true }));

test('the audit log appends a line of JSON a record, and has them all once it is closed', async () => {
  const path = join(dir, 'audit.jsonl');
  await appendFile(path, 'of an earlier start\n');
  const log = await openAuditLog(path, options);
  const labels = Array.from({ length: 1000 }, (_, i) => `label-${i}`);
  for (const label of labels) log.write({ ...RECORD, label });
  await log.close();
  const [earlier, ...lines] = (await readFile(path, 'utf8')).trimEnd().split('\n');
  expect(earlier).toBe('of an earlier start');
  expect(lines.map((line) => JSON.parse(line))).toEqual(labels.map((label) => ({ time: 'now', ...RECORD, label })));
});

test('an audit log that cannot be written is refused at once', async () => {
  await expect(openAuditLog(join(dir, 'none', 'audit.jsonl'), options)).rejects.toThrow(
    tandemError('BAD_CONFIG', 'tandem.json: auditLog: cannot write'),
  );
});

test('lines that cannot be written are told of once and counted, until the file takes lines again', async () => {
  const path = join(dir, 'audit.jsonl');
  await symlink('/dev/full', path);
  const lost: string[] = [];
  let lines = 0;
  const log = await openAuditLog(path, {
    ...options,
    onLoss: (reason) => lost.push(reason),
    onLostLine: () => lines++,
  });
  log.write(RECORD);
  log.write(RECORD);
  await vi.waitFor(() => expect(lines).toBe(2));
  expect(lost).toEqual([expect.stringContaining('lines of the audit log are lost: ENOSPC')]);
  await rm(path);
  await vi.waitFor(
    async () => {
      log.write(RECORD);
      expect(await readFile(path, 'utf8')).toContain('"label":"public"');
    },
    { timeout: 5000, interval: 100 },
  );
  await log.close();
  expect(lost.length).toBe(1);
});
