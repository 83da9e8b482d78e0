/** `tandem replay` on logs as apps write them: what a client decided, made again in another process. */
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { planHead } from '../../shared/plan.ts';
import { decide } from '../../shared/schedule/decide.ts';
import type { DecisionRecord } from '../../shared/schedule/record.ts';
import { ClientHarness, PICTURE } from '../helpers/client-harness.ts';
import { tandem, temporaryFolder } from '../helpers/processes.ts';

let folder: string;
let plan: string;
/** What one client decided: of requests that went well, were late, and found no gateway. */
let lines: string[];

beforeAll(async () => {
  folder = await temporaryFolder();
  const harness = new ClientHarness();
  plan = await write('plan.json', [JSON.stringify(harness.plan)]);
  lines = [];
  const client = await harness.ready();
  client.addEventListener('decision', ({ detail }) => lines.push(JSON.stringify(detail.decision.record)));
  for (const prefer of ['cloud', 'device', undefined, 'cloud', undefined] as const) {
    const work = client.infer(PICTURE, { label: 'personal', prefer, deadlineMs: 20_000 });
    await harness.serve();
    await harness.pass(5_000);
    await work;
  }
  await client.infer(PICTURE, { label: 'secret' });
  await client.close();
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function write(name: string, content: readonly string[]): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, content.map((line) => `${line}\n`).join(''));
  return path;
}

const replay = (...args: string[]) => tandem('replay', '--plan', plan, ...args);

/** The first decision with changes, as a line. */
function changed<T>(change: (record: T) => unknown): string {
  const record = JSON.parse(lines[0] as string);
  change(record);
  return JSON.stringify(record);
}

describe('a log of decisions', () => {
  test('is made again, bit by bit, a line each', async () => {
    expect(lines.length).toBeGreaterThan(8);
    const log = await write('log.jsonl', [...lines.slice(0, 3), '', ...lines.slice(3)]);
    const { code, stdout, stderr } = await replay(log);
    expect([code, stderr]).toEqual([0, '']);
    const rows = stdout.trim().split('\n').slice(2, -1);
    expect(rows.map((row) => Number(/\d+/.exec(row)?.[0]))).toEqual([...lines.keys()].map((i) => i + (i < 3 ? 1 : 2)));
    for (const row of rows)
      expect(row).toMatch(/(k = \d as \S+|all on the device) +(best|kept|explored|likeliest) .+ yes$/);
    expect(stdout).toContain(`${lines.length} of ${lines.length} decisions are made again, bit by bit`);
  });

  test('is not where one figure was another in its last bit, and which one is said', async () => {
    const bits = new Float64Array(1);
    const log = await write('bent.jsonl', [
      lines[1] as string,
      changed((record: { said: { predicted: { totalMs: number } } }) => {
        bits[0] = record.said.predicted.totalMs;
        const words = new BigUint64Array(bits.buffer);
        words[0] = (words[0] as bigint) + 1n;
        record.said.predicted.totalMs = bits[0];
      }),
    ]);
    const { code, stdout } = await replay(log);
    expect(code).toBe(1);
    expect(stdout).toMatch(/^ +1 .+ yes$/m);
    expect(stdout).toMatch(/^ +2 .+ NO: totalMs was [\d.]+, is [\d.]+$/m);
    expect(stdout).toContain('1 of 2 decisions are made again');
    // Only what is shown counts.
    expect((await replay(log, '--show', '1')).code).toBe(0);
    expect((await replay(log, '--show', '2')).code).toBe(1);
  });

  test('is not where another choice would be made now', async () => {
    const other = changed((record: { chosen: { k: number } }) => {
      record.chosen.k = 0;
    });
    const { code, stdout } = await replay(await write('other.jsonl', [other]), '--json');
    expect(code).toBe(1);
    expect(JSON.parse(stdout)).toMatchObject([
      { line: 1, chosen: { k: 0 }, isSame: false, differences: [{ name: 'k', was: 0, is: 1 }] },
    ]);
  });

  test('of an earlier version is made again as far as it says what was chosen', async () => {
    const old = changed((record: { said?: unknown }) => {
      delete record.said;
    });
    const { code, stdout } = await replay(await write('old.jsonl', [old]));
    expect(code).toBe(0);
    expect(stdout).toContain('(1 of an earlier version, by their choice alone)');
  });

  test('that a browser decided by the head of its plan is made again by the head', async () => {
    const { snapshot, constraints } = JSON.parse(lines[0] as string) as DecisionRecord;
    const head = planHead(new ClientHarness().plan);
    const { record } = decide({ ...snapshot, loaded: 0, plan: head }, { ...constraints, force: null });
    const { code, stdout } = await replay(await write('head.jsonl', [JSON.stringify(record)]));
    expect([code, stdout]).toEqual([0, expect.stringContaining('1 of 1 decisions')]);
  });
});

describe('one decision', () => {
  test('is shown with all that was weighed, and why the rest was left out', async () => {
    const log = await write('one.jsonl', lines);
    const { code, stdout } = await replay(log, '--show', '1');
    expect(code).toBe(0);
    expect(stdout).toMatch(/^line 1: small, size 16, at boundary 0: k = 1 as q[48], the best$/m);
    expect(stdout).toMatch(/^ *1 +q[48] +[\d.]+ +[\d.]+ to [\d.]+ .+ chosen$/m);
    expect(stdout).toContain('not k = 0, webp-80: policy: personal may be sent from h on');
    expect(stdout).toContain('The same as it was, bit by bit.');
    const json = JSON.parse((await replay(log, '--show', '1', '--json')).stdout);
    expect(json).toMatchObject([
      { line: 1, again: { by: 'best', candidates: [{ k: 1 }, {}, {}], removed: [{ k: 0 }] } },
    ]);
  });
});

describe('tandem replay says in one line what is wrong with', () => {
  const refuses = async (code: string, text: string, ...args: string[]) => {
    const outcome = await tandem('replay', ...args);
    expect(outcome).toMatchObject({ code: 2, stdout: '' });
    expect(outcome.stderr).toMatch(new RegExp(`^tandem: ${code}: .+\\n$`));
    expect(outcome.stderr).toContain(text);
  };

  test('a line that is no JSON: a log that was cut off', async () => {
    const log = await write('cut.jsonl', [lines[0] as string, (lines[1] as string).slice(0, 100)]);
    await refuses('BAD_INPUT', `${log}, line 2 is no JSON`, log, '--plan', plan);
  });
  test('a line that is no decision, naming what it lacks', async () => {
    const bad = changed((record: { snapshot: { link: { state: { mean: unknown } } } }) => {
      record.snapshot.link.state.mean = ['fast'];
    });
    const log = await write('bad.jsonl', [lines[0] as string, '', bad]);
    const text = `${log}, line 3: snapshot.link.state.mean.0: expected number, got "fast"`;
    await refuses('BAD_INPUT', text, log, '--plan', plan);
  });
  test('a decision for another plan', async () => {
    const log = await write('foreign.jsonl', [changed((record: { plan: string }) => (record.plan = 'f'.repeat(64)))]);
    await refuses('BAD_INPUT', `${log}, line 1: expected a decision for the plan `, log, '--plan', plan);
  });
  test('a log without decisions, and one that is not there', async () => {
    const log = await write('empty.jsonl', ['', '']);
    await refuses('BAD_INPUT', 'there is no decision in this log', log, '--plan', plan);
    await refuses('NOT_FOUND', 'none.jsonl', join(folder, 'none.jsonl'), '--plan', plan);
  });
  test('a line to show that has none, no plan, and a plan that is none', async () => {
    const log = await write('few.jsonl', [lines[0] as string]);
    await refuses('USAGE', '--show a line with a decision', log, '--plan', plan, '--show', '2');
    await refuses('USAGE', 'expected --plan F', log);
    await refuses('BAD_PLAN', 'few.jsonl', log, '--plan', log);
    await refuses('NOT_FOUND', 'none.json', log, '--plan', join(folder, 'none.json'));
  });
});
