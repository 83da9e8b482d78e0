import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { type CompileOptions, type CompileResult, compile, isCurrent, type ModelRecipe } from '../../compiler/index.ts';
import { REPORT_FILE } from '../../compiler/report/page.ts';
import { folderSource } from '../../runtimes/bundle-folder.ts';
import { PLAN_FILE, readPlan, readPlanFile } from '../../shared/bundle.ts';
import type { ErrorCode } from '../../shared/errors.ts';
import type { Plan } from '../../shared/plan.ts';
import { type TinyModel, tinyModel } from '../helpers/tiny-model.ts';
import { coded } from './coded.ts';
import { compileTiny, isStoredInt8 } from './compile-tiny.ts';

const QUICK: CompileOptions = { targets: ['node'], samples: 4 };

vi.setConfig({ testTimeout: 30_000, hookTimeout: 30_000 });

let tiny: TinyModel;
let dir: string;
let result: CompileResult;
beforeAll(async () => {
  tiny = await tinyModel();
  dir = join(tiny.dir, 'bundle');
  result = await compile(tiny.recipe, dir, QUICK);
});
afterAll(() => tiny.remove());

/** Compiles a changed recipe beside the first bundle. */
function compileAs(folder: string, recipe: Partial<ModelRecipe>, options: CompileOptions = {}): Promise<CompileResult> {
  return compile({ ...tiny.recipe, ...recipe }, join(tiny.dir, folder), { ...QUICK, ...options });
}

function recipesOf(plan: Plan) {
  return plan.segments.map(({ targets }) => targets['node']?.recipe);
}

function filesOf(plan: Plan) {
  return [
    ...plan.segments.flatMap(({ server, targets }) => [server, ...Object.values(targets)]),
    ...Object.values(plan.assets),
  ];
}

describe('a compiled bundle', () => {
  test('holds the plan, the files that it names, and what was measured', async () => {
    const plan = await readPlan(folderSource(dir));
    expect(plan).toEqual(result.plan);
    const names = filesOf(plan).map(({ file }) => file);
    expect((await readdir(dir)).sort()).toEqual([...names, PLAN_FILE, 'measured.json', REPORT_FILE].sort());
    for (const file of filesOf(plan)) {
      expect(await readPlanFile(folderSource(dir), file)).toHaveLength(file.bytes);
    }
  });

  test('says what the boundaries carry, and how it may be sent', () => {
    const { boundaries } = result.plan;
    const shapes = boundaries.map(({ tensors }) =>
      tensors.map(({ name, dtype, shape }) => `${name} ${dtype} ${shape}`),
    );
    expect(shapes).toEqual([
      ['x float32 1,3,8,width'],
      ['stem float32 1,8,8,width'],
      ['pooled float32 1,32,1,width/2'],
      ['pooled float32 1,32,1,width/2', 'deep float32 1,32,1,width/2'],
      ['indices int32 1,width/2', 'probabilities float32 1,width/2'],
    ]);
    const inner = ['q8', 'q4'];
    const tiers = boundaries.map((boundary) => boundary.tiers.map(({ name }) => name));
    expect(tiers).toEqual([['webp-80', 'jpeg-85'], inner, inner, inner, []]);
  });

  test('stores device segments in few bits where they are no slower then', async () => {
    const { plan, sizeRatio } = await compileTiny(tiny, 'small', () => 1);
    // The first has no weight large enough to store.
    const [first, ...others] = recipesOf(plan);
    expect(first).toBe('float32');
    for (const recipe of others) expect(recipe).toMatch(/^w\d x \d/);
    expect(sizeRatio['node']).toBeLessThan(0.6);
    expect(plan.measured?.timeMs['node']?.[1]).toEqual({ fixed: 1, perSize: 0 });
  });

  test('keeps those in full precision that few bits would slow down', async () => {
    const { plan } = await compileTiny(tiny, 'fast', (model) => (isStoredInt8(model) ? 2 : 1));
    expect(recipesOf(plan)).toEqual(['float32', 'float32', 'float32', 'float32']);
    expect(plan.segments[1]?.targets['node']?.sha256).toBe(plan.segments[1]?.server.sha256);
    const report = await readFile(join(tiny.dir, 'fast', REPORT_FILE), 'utf8');
    const dropped = [2, 3, 4].map((k) => `node: segment ${k} compressed: it measured 2.00 x the time of float`);
    for (const text of dropped) expect(report).toContain(JSON.stringify(text));
  });

  test('carries figures for every place and every way through it', () => {
    const { measured } = result.plan;
    expect(result.isMeasuredNow).toBe(true);
    expect(measured).toMatchObject({ seed: 1, samples: 4, metrics: tiny.recipe.metrics });
    expect(Object.entries(measured?.timeMs ?? {}).map(([place, lines]) => [place, lines.length])).toEqual([
      ['server', 4],
      ['node', 4],
    ]);
    expect(measured?.accuracy.map(({ target, k, tier }) => `${target} ${k} ${tier}`)).toEqual([
      'server 0 null',
      ...[
        'node 0 webp-80',
        'node 0 jpeg-85',
        'node 1 q8',
        'node 1 q4',
        'node 2 q8',
        'node 2 q4',
        'node 3 q8',
        'node 3 q4',
      ],
      'node 4 null',
    ]);
  });

  test('has the same id when it is compiled again, and another for another model', async () => {
    const again = await compileAs('again', {});
    expect(again.plan.id).toBe(result.plan.id);
    expect(again.plan.boundaries).toEqual(result.plan.boundaries);
    const other = await tinyModel(2);
    const { plan } = await compileAs('other', { file: other.recipe.file });
    await other.remove();
    expect(plan.id).not.toBe(result.plan.id);
    expect(plan.model.sha256).not.toBe(result.plan.model.sha256);
  });

  test('carries assets as they are', async () => {
    await writeFile(join(tiny.dir, 'labels.txt'), 'a\nb\n');
    const { plan } = await compileAs('assets', { assets: { labels: join(tiny.dir, 'labels.txt') } });
    expect(plan.assets['labels']).toMatchObject({ file: 'labels.txt', bytes: 4 });
    expect(await readFile(join(tiny.dir, 'assets', 'labels.txt'), 'utf8')).toBe('a\nb\n');
  });

  test('compiled as float holds the same segments on either side', async () => {
    const { plan, sizeRatio } = await compileAs('float', {}, { float: true });
    for (const { server, targets } of plan.segments) {
      expect(targets['node']).toMatchObject({ recipe: 'float32', sha256: server.sha256 });
    }
    expect(sizeRatio).toEqual({ node: 1 });
    expect(plan.id).toBe(result.plan.id);
  });

  test('tells how far it is', async () => {
    const stages = new Set<string>();
    await compileAs('progress', {}, { samples: 1, progress: ({ stage }) => stages.add(stage) });
    expect([...stages]).toEqual([
      'reading and cutting the model',
      ...['calibrating boundary 1', 'calibrating boundary 2', 'calibrating boundary 3'],
      'setting samples aside',
      ...[
        'timing layers',
        'evening ranges out',
        'what each form of each layer costs',
        'warming up',
        'time per segment',
      ],
      ...['trying recipes on held-out samples', 'verifying on samples that nothing was chosen by'],
      ...['compressing for node', 'accuracy and bytes on test samples'],
    ]);
  });
});

describe('committed measurements', () => {
  const committed = async () => JSON.parse(await readFile(join(dir, 'measured.json'), 'utf8')) as unknown;

  test('are taken over instead of measuring again, and the bundle is the same', async () => {
    const copy = await compileAs('committed', { committed: await committed() });
    expect(copy.isMeasuredNow).toBe(false);
    expect(copy.plan).toEqual(result.plan);
    expect(await readdir(join(tiny.dir, 'committed'))).not.toContain('measured.json');
  });

  test('are made anew where that is asked for, and where they are of another recipe', async () => {
    expect((await compileAs('anew', { committed: await committed() }, { measure: true })).isMeasuredNow).toBe(true);
    const fewer = await compileAs('anew', { committed: await committed(), bits: [8] });
    expect(fewer.isMeasuredNow).toBe(true);
    expect(fewer.plan.boundaries[1]?.tiers.map(({ name }) => name)).toEqual(['q8']);
  });

  test('tell whether a bundle is current', async () => {
    const recipe = { ...tiny.recipe, committed: await committed() };
    expect(await isCurrent(recipe, dir)).toBe(true);
    expect(await isCurrent(tiny.recipe, dir)).toBe(false);
    expect(await isCurrent({ ...recipe, bits: [4] }, dir)).toBe(false);
    expect(await isCurrent(recipe, join(tiny.dir, 'nowhere'))).toBe(false);
    await compileAs('edited', { committed: await committed() });
    expect(await isCurrent(recipe, join(tiny.dir, 'edited'))).toBe(true);
    const report = join(tiny.dir, 'edited', 'report.html');
    const page = await readFile(report, 'utf8');
    await writeFile(report, page.replace('svg {', 'svg, img {'));
    expect(await isCurrent(recipe, join(tiny.dir, 'edited'))).toBe(false);
    await writeFile(report, page);
    await writeFile(join(tiny.dir, 'edited', PLAN_FILE), JSON.stringify({ ...result.plan, name: 'edited' }));
    expect(await isCurrent(recipe, join(tiny.dir, 'edited'))).toBe(false);
  });
});

describe('compiling is refused', () => {
  test.each<[string, Partial<ModelRecipe>, CompileOptions, ErrorCode, string]>([
    ['without the model', { file: '/nowhere/tiny.onnx' }, {}, 'NOT_FOUND', 'cannot read test/helpers/tiny-model.ts'],
    [
      'for a file that is no model',
      { file: import.meta.filename },
      {},
      'BAD_MODEL',
      'test/helpers/tiny-model.ts is no ONNX model',
    ],
    ['for a cut that is none', { cuts: [['deep']] }, {}, 'BAD_CUT', 'pooled is needed'],
    ['for a target that there is not', {}, { targets: ['abacus'] }, 'USAGE', 'got abacus'],
  ])('%s, and nothing is written', async (_, recipe, options, code, message) => {
    await expect(async () => compileAs('refused', recipe, options)).rejects.toThrow(coded(code, message));
    expect(await readdir(tiny.dir)).not.toContain('refused');
  });

  test('for a name that no plan may have, rather than writing a plan that nobody can read', async () => {
    await expect(compileAs('refused', { name: 'Tiny Model' })).rejects.toThrow(coded('BAD_PLAN'));
  });
});

// Last in this file: it is the slow one.
test('a bundle for browsers is measured on their runtime, whatever was measured for another target', async () => {
  const record = JSON.parse(await readFile(join(dir, 'measured.json'), 'utf8')) as unknown;
  const { plan, isMeasuredNow } = await compileAs('wasm', { committed: record }, { targets: ['wasm'], samples: 1 });
  expect(isMeasuredNow).toBe(true);
  expect(Object.keys(plan.measured?.timeMs ?? {})).toEqual(['server', 'wasm']);
  expect(plan.id).toBe(result.plan.id);
});
