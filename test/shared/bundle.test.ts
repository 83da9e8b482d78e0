import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { type BundleSource, PLAN_FILE, readPlan, readPlanFile } from '../../shared/bundle.ts';
import { TandemError } from '../../shared/errors.ts';
import { planContract } from '../../shared/plan-contract.ts';
import { changed } from './changed.ts';
import { samplePlan } from './sample-plan.ts';
import { tandemError } from './tandem-error.ts';

function sha256(content: Uint8Array | string): string {
  return createHash('sha256').update(content).digest('hex');
}

/** A folder in memory. */
function folder(files: Readonly<Record<string, string>>): BundleSource {
  const text = async (name: string) => {
    const content = files[name];
    if (content === undefined) throw new TandemError('NOT_FOUND', `no file ${name}`);
    return content;
  };
  return {
    name: 'bundle',
    text,
    bytes: async ({ file }) => new TextEncoder().encode(await text(file)),
    sha256: async (content) => sha256(content),
  };
}

function folderWithPlan(plan: unknown): BundleSource {
  return folder({ [PLAN_FILE]: JSON.stringify(plan) });
}

const plan = { ...samplePlan(), id: sha256(planContract(samplePlan())) };

describe('reading a plan', () => {
  test('gives the plan whose id is the hash of its contract', async () => {
    expect(await readPlan(folderWithPlan(plan))).toEqual(plan);
  });

  test('takes one that was measured again', async () => {
    const measured = changed(plan, 'measured.seed', 99);
    expect(await readPlan(folderWithPlan(measured))).toEqual(measured);
  });

  test.each<[string, unknown]>([
    ['id', 'f'.repeat(64)],
    ['boundaries.1.tiers.0.tensors.0.low', -2],
    ['boundaries.0.tiers.0.quality', 79],
    ['segments.0.server.sha256', 'f'.repeat(64)],
  ])('refuses one whose %s was edited', async (path, value) => {
    const reading = readPlan(folderWithPlan(changed(plan, path, value)));
    await expect(reading).rejects.toThrow(tandemError('BAD_PLAN', 'bundle/plan.json: the id is not the hash'));
  });

  test.each([
    ['no JSON', '{', 'bundle/plan.json is no JSON'],
    ['no plan', '{}', 'bundle/plan.json: version: expected'],
  ])('refuses %s, naming the file', async (_, content, message) => {
    const reading = readPlan(folder({ [PLAN_FILE]: content }));
    await expect(reading).rejects.toThrow(tandemError('BAD_PLAN', message));
  });

  test('passes on what the source says where there is none', async () => {
    await expect(readPlan(folder({}))).rejects.toThrow(tandemError('NOT_FOUND'));
  });
});

describe('reading a file of the plan', () => {
  const file = { file: 'a.onnx', sha256: sha256('the weights'), bytes: 11 };

  test('gives its bytes', async () => {
    const bytes = await readPlanFile(folder({ 'a.onnx': 'the weights' }), file);
    expect(new TextDecoder().decode(bytes)).toBe('the weights');
  });

  test.each(['', 'the weight', 'The weights', 'the weights '])('refuses other bytes: "%s"', async (content) => {
    const reading = readPlanFile(folder({ 'a.onnx': content }), file);
    await expect(reading).rejects.toThrow(tandemError('BAD_BUNDLE', 'bundle/a.onnx is not the file of the plan'));
  });
});
