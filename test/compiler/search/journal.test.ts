import { appendFile, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openJournal } from '../../../compiler/search/journal.ts';
import { coded } from '../coded.ts';

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'tandem-journal-'));
});
afterEach(() => rm(dir, { recursive: true }));

describe('a journal of measurements', () => {
  test('measures once, and once over many runs of the same key', async () => {
    const path = join(dir, 'journal');
    let measured = 0;
    const measure = async () => ++measured;
    const first = await openJournal(path, 'a');
    expect(await first.once('x', measure)).toBe(1);
    expect(await first.once('x', measure)).toBe(1);
    const second = await openJournal(path, 'a');
    expect(await second.once('x', measure)).toBe(1);
    expect(await second.once('y', measure)).toBe(2);
    const other = await openJournal(path, 'b');
    expect(await other.once('x', measure)).toBe(3);
  });

  test('that cannot be written is told (USAGE)', async () => {
    await writeFile(join(dir, 'file'), '');
    await expect(openJournal(join(dir, 'file', 'journal'), 'a')).rejects.toThrow(coded('USAGE', 'file/journal'));
  });

  test('forgets a line that was not written to its end', async () => {
    const path = join(dir, 'journal');
    await (await openJournal(path, 'a')).once('x', async () => [1, 2]);
    await appendFile(path, '["y",[3');
    const again = await openJournal(path, 'a');
    expect(await again.once('x', async () => [0])).toEqual([1, 2]);
    expect(await again.once('y', async () => [4])).toEqual([4]);
  });
});
