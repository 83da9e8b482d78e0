import { lstat, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { smallPlan } from '../../client/testkit/small-plan.ts';
import { assertReplaceable, planFile, sha256, withPlanId, writeBundle } from '../../compiler/bundle.ts';

/** Enough of a plan to be taken for a bundle's. */
const PLAN = '{"segments":[{"server":{"file":"old.onnx"}}]}';

let folder: string;
let bundle: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tandem-bundle-'));
  bundle = join(folder, 'bundle');
});
afterEach(() => rm(folder, { recursive: true }));

describe('writing a bundle', () => {
  test('makes the folder, and those above it, with just its files', async () => {
    const deep = join(folder, 'a', 'b');
    await writeBundle(
      deep,
      new Map<string, Uint8Array | string>([
        ['plan.json', '{}'],
        ['1.onnx', Uint8Array.of(1, 2)],
      ]),
    );
    expect((await readdir(deep)).sort()).toEqual(['1.onnx', 'plan.json']);
    expect(await readFile(join(deep, 'plan.json'), 'utf8')).toBe('{}');
    expect([...(await readFile(join(deep, '1.onnx')))]).toEqual([1, 2]);
    expect(await readdir(join(folder, 'a'))).toEqual(['b']);
  });

  test('replaces what was there, and leaves nothing beside it', async () => {
    await writeBundle(
      bundle,
      new Map([
        ['old.onnx', 'old'],
        ['plan.json', PLAN],
      ]),
    );
    await writeBundle(bundle, new Map([['plan.json', 'new']]));
    expect(await readdir(bundle)).toEqual(['plan.json']);
    expect(await readFile(join(bundle, 'plan.json'), 'utf8')).toBe('new');
    expect(await readdir(folder)).toEqual(['bundle']);
  });

  test('that fails leaves what was there, and nothing beside it', async () => {
    await writeBundle(bundle, new Map([['plan.json', PLAN]]));
    const files = new Map([
      ['plan.json', 'new'],
      ['no-such-folder/1.onnx', 'new'],
    ]);
    await expect(writeBundle(bundle, files)).rejects.toThrow('ENOENT');
    expect(await readFile(join(bundle, 'plan.json'), 'utf8')).toBe(PLAN);
    expect(await readdir(folder)).toEqual(['bundle']);
  });

  test('that fails for the first time leaves nothing', async () => {
    await expect(writeBundle(bundle, new Map([['no-such-folder/1.onnx', 'new']]))).rejects.toThrow('ENOENT');
    expect(await readdir(folder)).toEqual([]);
  });

  test('through a link replaces what it leads to, not the link', async () => {
    const link = join(folder, 'link');
    await writeBundle(bundle, new Map([['plan.json', PLAN]]));
    await symlink(bundle, link);
    await writeBundle(link, new Map([['plan.json', 'new']]));
    expect((await lstat(link)).isSymbolicLink()).toBe(true);
    expect(await readFile(join(bundle, 'plan.json'), 'utf8')).toBe('new');
  });

  test('over a bundle that somebody put a file of their own into is refused (USAGE)', async () => {
    await writeBundle(bundle, new Map([['plan.json', PLAN]]));
    await writeFile(join(bundle, 'notes.txt'), 'mine');
    await expect(writeBundle(bundle, new Map([['plan.json', PLAN]]))).rejects.toMatchObject({ code: 'USAGE' });
    expect(await readFile(join(bundle, 'notes.txt'), 'utf8')).toBe('mine');
  });

  test.each([
    ['files that are no bundle', 'notes.txt', 'mine'],
    ['a plan.json that is no plan', 'plan.json', '{"dinner":"at eight"}'],
  ])('over a folder of %s is refused (USAGE), and nothing of it is lost', async (_, name, content) => {
    await mkdir(bundle);
    await writeFile(join(bundle, name), content);
    await expect(writeBundle(bundle, new Map([['plan.json', PLAN]]))).rejects.toMatchObject({ code: 'USAGE' });
    expect(await readFile(join(bundle, name), 'utf8')).toBe(content);
    expect(await readdir(bundle)).toEqual([name]);
  });

  test('below a file is refused (USAGE)', async () => {
    await writeFile(join(folder, 'file'), '');
    await expect(writeBundle(join(folder, 'file', 'bundle'), new Map())).rejects.toMatchObject({ code: 'USAGE' });
    expect(await readdir(folder)).toEqual(['file']);
  });

  test.each(['/sys/no/bundle', '/sys/bundle'])(
    'where no folder can be made, as %s, is refused (USAGE) before anything is compiled',
    async (dir) => {
      await expect(assertReplaceable(dir)).rejects.toMatchObject({
        code: 'USAGE',
        message: expect.stringMatching(`cannot write a bundle to ${dir}`),
      });
    },
  );

  test('takes no other folder for its own leftovers', async () => {
    await mkdir(join(folder, '.bundle-other'));
    await writeBundle(bundle, new Map([['plan.json', '{}']]));
    expect((await readdir(folder)).sort()).toEqual(['.bundle-other', 'bundle']);
  });
});

describe('what a plan says of files', () => {
  test('is their name, size and SHA-256', () => {
    expect(planFile('1.onnx', new TextEncoder().encode('abc'))).toEqual({
      ...{ file: '1.onnx', bytes: 3 },
      sha256: 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad',
    });
    expect(sha256('abc')).toBe(sha256(Uint8Array.of(0x61, 0x62, 0x63)));
  });

  test('makes its id, and what was measured does not', () => {
    const plan = smallPlan();
    const { id } = withPlanId(plan);
    expect(id).toMatch(/^[0-9a-f]{64}$/);
    expect(withPlanId({ ...plan, measured: null }).id).toBe(id);
    expect(withPlanId({ ...plan, name: 'other' }).id).not.toBe(id);
    const [first, second] = plan.segments;
    const replaced = { ...first, server: planFile('1.server.onnx', Uint8Array.of(1)) } as typeof first;
    expect(withPlanId({ ...plan, segments: [replaced, second] as typeof plan.segments }).id).not.toBe(id);
  });
});
