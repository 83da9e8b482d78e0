import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { tandem, temporaryFolder } from '../helpers/processes.ts';
import { samplePlan } from '../shared/sample-plan.ts';

let folder: string;
let plan: string;
beforeAll(async () => {
  folder = await temporaryFolder();
  plan = join(folder, 'plan.json');
  await writeFile(plan, JSON.stringify(samplePlan()));
  await mkdir(join(folder, 'traces/bus'), { recursive: true });
  await writeFile(join(folder, 'traces/bus/one'), '0 2.0\n1 0.5\n2 4\n');
  await writeFile(join(folder, 'traces/lte.up'), '0\n5\n10\n');
  await writeFile(join(folder, 'traces/lte.down'), '0\n2\n4\n');
  await writeFile(join(folder, 'traces/README.md'), '# what they are');
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const simulate = (...args: string[]) => tandem('simulate', '--plan', plan, '--requests', '30', ...args);

interface Line {
  readonly collection: string;
  readonly trace: string;
  readonly scheduler: string;
  readonly all: { readonly requests: number; readonly regret: { readonly mean: number } };
}

describe('tandem simulate', () => {
  test('runs every scheduler on synthetic networks where none is named, the same each time', async () => {
    const first = await simulate();
    expect(first).toMatchObject({ code: 0, stderr: 'simulating ...\n' });
    const schedulers = ['local', 'remote', 'best-fixed', 'neurosurgeon', 'bandit', 'tandem', 'oracle'];
    const rows = first.stdout.split('\n').filter((line) => line.startsWith('synthetic  '));
    expect(rows.map((row) => row.split(/ {2,}/)[2])).toEqual(schedulers);
    expect((await simulate()).stdout).toBe(first.stdout);
    expect((await simulate('--seed', '2')).stdout).not.toBe(first.stdout);
  });

  test('lets requests overlap where it is told to, the same each time, and says so', async () => {
    const often = ['--arrivals', 'poisson', '--interval', '60', '--rate', '5'];
    const optionsOf = async (...args: string[]) => {
      const { code, stdout } = await simulate(...often, '--json', ...args);
      expect(code).toBe(0);
      return JSON.parse(stdout) as { options: unknown; collections: Line[] };
    };
    const [overlapping, inTurn] = [await optionsOf('--overlap'), await optionsOf()];
    expect(overlapping.options).toMatchObject({ arrivals: 'poisson', overlaps: true });
    expect(inTurn.options).not.toHaveProperty('overlaps');
    expect(overlapping.collections).not.toEqual(inTurn.collections);
    expect(await optionsOf('--overlap')).toEqual(overlapping);
  });

  test('takes folders of traces by collection, and says what it derived', async () => {
    const { code, stdout } = await simulate('--trace', join(folder, 'traces'), '--json');
    expect(code).toBe(0);
    const report = JSON.parse(stdout) as { remarks: string[]; traces: Line[] };
    const names = new Set(report.traces.map(({ collection, trace }) => `${collection}: ${trace}`));
    expect([...names]).toEqual(['bus: one', 'traces: lte']);
    expect(report.traces.every(({ all }) => all.requests === 30)).toBe(true);
    expect(report.remarks).toEqual([
      'bus: uplink is taken as 0.4 of the measured downlink',
      'bus, traces: a round trip of 50 ms is assumed',
      'bus, traces: a radio that sleeps after 10 s and takes 400 ms to wake up is assumed',
    ]);
  });

  test('takes fixed rates and other clients, as lists', async () => {
    const { stdout } = await simulate(
      '--rate',
      '0.13',
      '18.88',
      '--others',
      '0',
      '4',
      '--schedulers',
      'tandem',
      'remote',
      '--json',
    );
    const { traces } = JSON.parse(stdout) as { traces: Line[] };
    expect(traces.map(({ collection, trace, scheduler }) => `${collection}: ${trace}: ${scheduler}`)).toEqual([
      'fixed rates, 0 others: 0.13 Mbit/s: tandem',
      'fixed rates, 0 others: 0.13 Mbit/s: remote',
      'fixed rates, 4 others: 0.13 Mbit/s: tandem',
      'fixed rates, 4 others: 0.13 Mbit/s: remote',
      'fixed rates, 0 others: 18.88 Mbit/s: tandem',
      'fixed rates, 0 others: 18.88 Mbit/s: remote',
      'fixed rates, 4 others: 18.88 Mbit/s: tandem',
      'fixed rates, 4 others: 18.88 Mbit/s: remote',
    ]);
  });

  test('writes a line for each network and scheduler, and a page that needs nothing else', async () => {
    const [csv, html] = [join(folder, 'report.csv'), join(folder, 'report.html')];
    const { code } = await simulate('--rate', '1', '5', '--csv', csv, '--html', html);
    expect(code).toBe(0);
    const [head, ...lines] = (await readFile(csv, 'utf8')).trim().split('\n');
    expect(head).toMatch(/^collection,trace,scheduler,detail,requests,regret_mean,/);
    expect(lines).toHaveLength(14);
    expect(new Set(lines.map((line) => line.split(',').length))).toEqual(new Set([head?.split(',').length]));
    const page = await readFile(html, 'utf8');
    expect(page).toMatch(/^<!doctype html>/);
    expect(page).not.toMatch(/NaN|undefined|https?:/);
    // How regret spreads, and each network over time.
    expect(page.match(/<svg/g)).toHaveLength(3);
  });

  test('follows many clients on a server that loses half its speed, second by second', async () => {
    const { stdout } = await simulate('--clients', '20', '--dip', '--rate', '5', '--schedulers', 'tandem', '--json');
    const { timelines } = JSON.parse(stdout) as { timelines: { swing: number; seconds: { requests: number }[] }[] };
    expect(timelines).toHaveLength(1);
    expect(timelines[0]?.seconds.reduce((sum, { requests }) => sum + requests, 0)).toBe(20 * 30);
  });
});

describe('tandem simulate says in one line what is wrong with', () => {
  async function refuses(args: readonly string[], code: string, part: string): Promise<void> {
    const outcome = await tandem('simulate', ...args);
    expect(outcome).toMatchObject({ code: 2, stdout: '' });
    expect(outcome.stderr.trim().split('\n')).toEqual([expect.stringMatching(new RegExp(`^tandem: ${code}: `))]);
    expect(outcome.stderr).toContain(part);
  }

  test('no plan', () => refuses([], 'USAGE', '--plan'));
  test('a plan that is not there', () => refuses(['--plan', join(folder, 'no.json')], 'NOT_FOUND', 'no.json'));
  test('a plan that was not measured', async () => {
    const path = join(folder, 'unmeasured.json');
    await writeFile(path, JSON.stringify({ ...samplePlan(), measured: null }));
    await refuses(['--plan', path], 'BAD_PLAN', 'measured');
  });
  test('a malformed trace, by file and line', async () => {
    const path = join(folder, 'bad-trace');
    await writeFile(path, '0 1.5\n1 fast\n');
    await refuses(['--plan', plan, '--trace', path], 'BAD_INPUT', `${path}, line 2`);
  });
  test('a trace that is not there', () => refuses(['--plan', plan, '--trace', join(folder, 'no')], 'NOT_FOUND', 'no'));
  test('a scheduler that it does not know', () =>
    refuses(['--plan', plan, '--schedulers', 'magic'], 'USAGE', 'oracle'));
  test('a rate that is none', () => refuses(['--plan', plan, '--rate', '0'], 'USAGE', '--rate'));
  test('a floor below the plan', () => refuses(['--plan', plan, '--floor', '9'], 'USAGE', '--floor'));
  test('a device of another plan', async () => {
    const path = join(folder, 'device.json');
    await writeFile(path, JSON.stringify({ target: 'npu' }));
    await refuses(['--plan', plan, '--device', path], 'BAD_CONFIG', 'wasm');
  });
  test('arrivals that go back', async () => {
    const path = join(folder, 'arrivals');
    await writeFile(path, '0\n500\n100\n');
    await refuses(['--plan', plan, '--arrivals', path], 'BAD_INPUT', 'line 3');
  });
});
