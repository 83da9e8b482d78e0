import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { planFile, withPlanId } from '../../compiler/bundle.ts';
import { buildChain, type ChainSegment } from '../../compiler/cut/segments.ts';
import { verify } from '../../compiler/index.ts';
import { largestError, relativeError } from '../../compiler/measure/error.ts';
import { readSource } from '../../compiler/prepare.ts';
import { DEFAULT_TOLERANCES } from '../../compiler/tolerances.ts';
import { PLAN_FILE } from '../../shared/bundle.ts';
import type { Plan } from '../../shared/plan.ts';
import { float32 } from '../../shared/tensor.ts';
import { packedWhole } from '../helpers/packed-whole.ts';
import { type TinyModel, tinyModel, tinyModelBytes } from '../helpers/tiny-model.ts';
import { coded } from './coded.ts';
import { compileTiny } from './compile-tiny.ts';

vi.setConfig({ testTimeout: 30_000, hookTimeout: 30_000 });

let tiny: TinyModel;
let bundle: string;
let plan: Plan;
beforeAll(async () => {
  tiny = await tinyModel();
  bundle = join(tiny.dir, 'bundle');
  await writeFile(join(tiny.dir, 'labels.txt'), 'a\nb\n');
  const recipe = { ...tiny.recipe, assets: { labels: join(tiny.dir, 'labels.txt') } };
  // Of six samples one answer is much: what a search may lose is not the matter here.
  const pins = [{ match: '*', form: 'w8' }] as const;
  plan = (await compileTiny(tiny, 'bundle', () => 1, { recipe, pins })).plan;
});
afterAll(() => tiny.remove());

const verified = (dir: string, recipe = tiny.recipe) => verify(recipe, dir, { samples: 6 });

/** A copy of the bundle, for a test to spoil. */
async function copied(): Promise<string> {
  const dir = await mkdtemp(join(tiny.dir, 'copy-'));
  await cp(bundle, dir, { recursive: true });
  return dir;
}

/** Segment 3 of the same layers with other weights. */
function foreignSegment(): ChainSegment {
  return buildChain(readSource(tinyModelBytes(2), tiny.recipe), tiny.recipe.cuts).segments[2] as ChainSegment;
}

/** Puts other bytes in a segment's place, with a plan that fits them: what no hash can tell. */
async function replaceSegment(dir: string, index: number, side: 'server' | 'node', bytes: Uint8Array): Promise<void> {
  const file = planFile(`${index + 1}.${side}.onnx`, bytes);
  const segments = plan.segments.map((segment, i) => {
    if (i !== index) return segment;
    if (side === 'server') return { ...segment, server: file };
    return { ...segment, targets: { node: { ...file, recipe: 'w8 x 1', recipeSha256: '0'.repeat(64) } } };
  });
  await writeFile(join(dir, file.file), bytes);
  await writeFile(join(dir, PLAN_FILE), JSON.stringify(withPlanId({ ...plan, segments })));
}

describe('verifying a bundle', () => {
  test('finds a segment that is packed as good as the same one plain', async () => {
    const dir = await copied();
    const plain = await readFile(join(dir, plan.segments[2]?.targets['node']?.file ?? ''));
    await replaceSegment(dir, 2, 'node', packedWhole(plain));
    const [{ rows }, expected] = [await verified(dir), await verified(bundle)];
    expect(rows).toEqual(expected.rows);
  });

  test('goes by the tolerances that are given, and says by which', async () => {
    const strict = await verify(tiny.recipe, bundle, { samples: 2, tolerances: { compressedErrorGrowthMax: 0 } });
    expect(strict.holds).toBe(false);
    expect(strict.tolerances).toEqual({ ...DEFAULT_TOLERANCES, compressedErrorGrowthMax: 0 });
    const loose = { floatErrorMax: 2, floatLargestErrorMax: undefined };
    expect((await verify(tiny.recipe, bundle, { samples: 2, tolerances: loose })).tolerances).toEqual({
      ...DEFAULT_TOLERANCES,
      floatErrorMax: 2,
    });
  });

  test('holds for what was just compiled, at every k', async () => {
    const { rows, holds, samples } = await verified(bundle);
    expect({ holds, samples }).toEqual({ holds: true, samples: 6 });
    expect(rows.map(({ k, boundary }) => [k, ...boundary])).toEqual([
      [0, 'x'],
      [1, 'stem'],
      [2, 'pooled'],
      [3, 'pooled', 'deep'],
      [4, 'indices', 'probabilities'],
    ]);
    for (const row of rows) {
      expect(Math.max(row.floatBoundaryError, row.floatOutputError)).toBeLessThan(
        DEFAULT_TOLERANCES.floatErrorMax / 10,
      );
      expect(row.floatAnswersChanged).toBe(0);
    }
    // 8 bits are seen at all, where they are: in front of boundaries 2 and 3.
    const errors = rows.map(({ compressed }) => compressed['node']?.boundaryError ?? 0);
    expect(Math.min(errors[2] as number, errors[3] as number)).toBeGreaterThan(1e-4);
    expect(Math.max(...errors)).toBeLessThan(0.1);
  });

  test('writes nothing', async () => {
    const dir = await copied();
    await verified(dir);
    expect(await readFile(join(dir, PLAN_FILE))).toEqual(await readFile(join(bundle, PLAN_FILE)));
  });

  test('does not hold where a server segment is another, though every hash fits', async () => {
    const dir = await copied();
    await replaceSegment(dir, 2, 'server', foreignSegment().float);
    const { rows, holds } = await verified(dir);
    expect(holds).toBe(false);
    expect(rows.map((row) => row.holds)).toEqual([false, false, false, false, false]);
    expect(rows[2]?.floatBoundaryError).toBeLessThan(DEFAULT_TOLERANCES.floatErrorMax);
    expect(rows[3]?.floatBoundaryError).toBeGreaterThan(0.5);
    // From boundary 3 on nothing is wrong: it is the boundary itself that is.
    expect(rows.map(({ floatOutputError }) => floatOutputError > DEFAULT_TOLERANCES.floatErrorMax)).toEqual([
      true,
      true,
      true,
      false,
      false,
    ]);
  });

  test('does not hold where a device segment is another, at the boundary that it makes', async () => {
    const dir = await copied();
    await replaceSegment(dir, 2, 'node', foreignSegment().float);
    const { rows, holds } = await verified(dir);
    expect(holds).toBe(false);
    expect(rows.map((row) => row.holds)).toEqual([true, true, true, false, false]);
    expect(rows[3]?.compressed['node']?.boundaryError).toBeGreaterThan(0.5);
    expect(rows[4]?.compressed['node']?.answersChanged).toBeGreaterThan(0.5);
    // Even where no answer shows it.
    const mute = await verified(dir, { ...tiny.recipe, answer: () => '' });
    expect(mute.rows.map((row) => row.holds)).toEqual([true, true, true, false, true]);
  });

  test.each(['2.server.onnx', '3.node.onnx', 'labels.txt'])(
    'rejects a bundle with one byte of %s changed',
    async (file) => {
      const dir = await copied();
      const bytes = await readFile(join(dir, file));
      bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] as number) ^ 1;
      await writeFile(join(dir, file), bytes);
      await expect(verified(dir)).rejects.toThrow(coded('BAD_BUNDLE', file));
    },
  );

  test('rejects a bundle that lacks a file', async () => {
    const dir = await copied();
    await rm(join(dir, '1.node.onnx'));
    await expect(verified(dir)).rejects.toThrow(coded('BAD_BUNDLE', '1.node.onnx'));
  });

  test('rejects a plan that was edited, is no plan, or is not there', async () => {
    const dir = await copied();
    await writeFile(join(dir, PLAN_FILE), JSON.stringify({ ...plan, name: 'edited' }));
    await expect(verified(dir)).rejects.toThrow(coded('BAD_PLAN', 'edited by hand'));
    await writeFile(join(dir, PLAN_FILE), '{');
    await expect(verified(dir)).rejects.toThrow(coded('BAD_PLAN', 'is no JSON'));
    await rm(join(dir, PLAN_FILE));
    await expect(verified(dir)).rejects.toThrow(coded('BAD_BUNDLE'));
  });

  test('asks for the source that the bundle was compiled from', async () => {
    const other = await tinyModel(2);
    await expect(verified(bundle, other.recipe)).rejects.toThrow(
      coded('NOT_FOUND', 'is not the file that this bundle'),
    );
    await other.remove();
    await expect(verified(bundle, other.recipe)).rejects.toThrow(coded('NOT_FOUND', 'cannot read'));
  });

  test('rejects a segment that takes another boundary than the plan says', async () => {
    const dir = await copied();
    await replaceSegment(
      dir,
      1,
      'server',
      buildChain(readSource(tiny.bytes, tiny.recipe), tiny.recipe.cuts).segments[2]?.float as Uint8Array,
    );
    await expect(verified(dir)).rejects.toThrow(coded('BAD_BUNDLE'));
  });
});

describe('the error of a tensor', () => {
  const of = (...values: number[]) => float32([values.length], Float32Array.from(values));

  test('is the norm of the difference over the norm of what was expected', () => {
    expect(relativeError(of(3, 4), of(3, 4))).toBe(0);
    expect(relativeError(of(3, 5), of(3, 4))).toBeCloseTo(1 / 5, 6);
    expect(relativeError(of(0, 0), of(3, 4))).toBe(1);
    expect(relativeError(of(0, 0), of(0, 0))).toBe(0);
    expect(relativeError(of(1, 0), of(0, 0))).toBe(Number.POSITIVE_INFINITY);
  });

  test('of its largest value is the largest difference over that', () => {
    expect(largestError(of(3, 4), of(3, 4))).toBe(0);
    expect(largestError(of(3, Number.POSITIVE_INFINITY), of(3, 4))).toBe(Number.POSITIVE_INFINITY);
    expect(largestError(of(3, 4), of(3, Number.POSITIVE_INFINITY))).toBe(Number.POSITIVE_INFINITY);
    expect(largestError(of(3, 5, -8), of(3, 4, -8))).toBeCloseTo(1 / 8, 6);
    expect(largestError(of(1), of(0))).toBe(Number.POSITIVE_INFINITY);
  });

  test.each([
    ['what was made', of(Number.NaN, 1), of(1, 1)],
    ['what was expected', of(1, 1), of(Number.NaN, 1)],
  ])('is infinite where %s is no number', (_, actual, expected) => {
    expect(relativeError(actual, expected)).toBe(Number.POSITIVE_INFINITY);
    expect(largestError(actual, expected)).toBe(Number.POSITIVE_INFINITY);
  });
});
