/** What `tandem simulate` makes of what it is given: a right result or one clear error, never another run than was asked for. */
import { mkdir, rm, symlink, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { run } from '../../cli/commands/simulate.ts';
import { arrivalsOf } from '../../cli/simulate-options.ts';
import { readTraces } from '../../cli/trace-files.ts';
import { parseDevice, parseServer } from '../../simulate/profiles.ts';
import { scenarioOf } from '../../simulate/scenario.ts';
import { alwaysRemote } from '../../simulate/schedulers/fixed.ts';
import { isMissed } from '../../simulate/summary.ts';
import { fixedRateTrace } from '../../simulate/traces/synthetic.ts';
import { simulate } from '../../simulate/world.ts';
import { temporaryFolder } from '../helpers/processes.ts';
import { samplePlan } from '../shared/sample-plan.ts';
import { tandemError } from '../shared/tandem-error.ts';

let folder: string;
let plan: string;
const write = async (name: string, text: string) => {
  const path = join(folder, name);
  await writeFile(path, text);
  return path;
};
beforeAll(async () => {
  folder = await temporaryFolder();
  plan = await write('plan.json', JSON.stringify(samplePlan()));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe('traces', () => {
  const namesOf = async (...paths: string[]) =>
    (await readTraces(paths)).map(({ collection, name }) => `${collection}: ${name}`);

  test('that are links are read, and links that lead around in a circle are followed once', async () => {
    const linked = join(folder, 'linked');
    await mkdir(join(linked, 'below'), { recursive: true });
    await symlink(await write('kept-elsewhere', '0 2\n1 3\n'), join(linked, 'one'));
    await symlink(linked, join(linked, 'below', 'around'));
    await symlink(join(folder, 'kept-elsewhere'), join(linked, 'below', 'two'));
    expect(await namesOf(linked)).toEqual(['below: two', 'linked: one']);
  });

  test('of a folder are those that are no descriptions', async () => {
    const described = join(folder, 'described');
    await mkdir(join(described, '.git'), { recursive: true });
    for (const name of ['README', 'LICENSE.txt', 'notes.md', '.git/one']) await write(`described/${name}`, 'prose\n');
    await write('described/one', '0 2\n');
    expect(await namesOf(described)).toEqual(['described: one']);
  });

  test('have the name of their folder, however they are reached', async () => {
    const path = await write('a-trace', '0 2\n1 3\n');
    const here = `${basename(folder)}: a-trace`;
    expect(await namesOf(path)).toEqual([here]);
    const before = process.cwd();
    process.chdir(folder);
    try {
      expect(await namesOf('a-trace')).toEqual([here]);
    } finally {
      process.chdir(before);
    }
  });

  test('that are named and are none are refused, a description as well', async () => {
    const notes = await write('notes.md', '# notes\n');
    await expect(namesOf(notes)).rejects.toThrow(tandemError('BAD_INPUT', `${notes}, line 1`));
  });
});

describe('arrivals', () => {
  test.each([
    ['epoch times', '1732700000000\n1732700001000\n', 'line 1'],
    ['times without end', '0\nInfinity\n', 'line 2'],
    ['times that nothing reaches', '0\r\n1e300\r\n', 'line 2'],
    ['negative times', '-1\n', 'line 1'],
  ])('that are %s are refused with their line', async (name, text, part) => {
    const path = await write(`arrivals-${name.replaceAll(' ', '-')}`, text);
    await expect(arrivalsOf(path, 1000, 1)).rejects.toThrow(tandemError('BAD_INPUT', `${path}, ${part}`));
  });

  test('are at most as far apart as a run is long', async () => {
    await expect(arrivalsOf('poisson', 3_600_000, 100_000)).rejects.toThrow(tandemError('USAGE', '--interval'));
    expect(await arrivalsOf('fixed', 3_600_000, 200)).toEqual({ type: 'fixed', intervalMs: 3_600_000 });
  });
});

describe('options', () => {
  test.each([
    ['--trace with nothing', ['--trace'], '--trace'],
    ['--rate with nothing before another option', ['--rate', '--json'], '--rate'],
    ['fewer requests than the warm-up takes', ['--requests', '20'], '--requests from 21'],
    ['--overlap where each waits for the answer before it', ['--overlap', '--arrivals', 'closed'], '--overlap'],
  ])('with %s are refused', async (_name, options, part) => {
    await expect(run(['--plan', plan, ...options])).rejects.toThrow(tandemError('USAGE', part));
  });
});

describe('profiles', () => {
  const stops = [
    [0, 1],
    [2, 0],
  ];

  test('of a device that stops for ever are refused, and of one that goes on are not', () => {
    expect(() => parseDevice({ slowdown: stops }, 'own.json')).toThrow(tandemError('BAD_CONFIG', 'own.json'));
    expect(parseDevice({ slowdown: stops, periodS: 5 }, 'own.json').speed.periodMs).toBe(5000);
  });

  test('of a server that stops for ever have all that is sent there missed, and come to an end', () => {
    const scenario = scenarioOf({
      ...{ plan: samplePlan(), trace: fixedRateTrace(5), device: parseDevice({}, 'd'), seed: 1, requests: 30 },
      ...{ server: parseServer({ capacity: stops }, 's'), arrivals: { type: 'fixed', intervalMs: 500 } },
      ...{ clients: 1, others: 2, deadlineMs: 1000, accuracyDropMax: 0.02, floor: 0 },
    });
    const { records } = simulate(scenario, alwaysRemote);
    expect(records.filter((one) => one.arrivedMs > 2000).every(isMissed)).toBe(true);
    expect(records.filter(isMissed).length).toBeLessThan(30);
  });
});
