/** Types of models whose names are none that TypeScript takes as they are. */
import { createHash } from 'node:crypto';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { planContract } from '../../shared/plan-contract.ts';
import { parsePlan } from '../../shared/plan-schema.ts';
import { BUNDLE_DIR, tandem, temporaryFolder } from '../helpers/processes.ts';

test.each([
  ['3d-net', 'Model3dNet'],
  ['a--b', 'AB'],
  ['net-', 'Net'],
  ['tensor', 'ModelTensor'],
])('the types of %s are called %s', async (name, type) => {
  const plan = { ...parsePlan(JSON.parse(await readFile(join(BUNDLE_DIR, 'plan.json'), 'utf8')), 'plan'), name };
  const id = createHash('sha256').update(planContract(plan)).digest('hex');
  const dir = await temporaryFolder();
  await writeFile(join(dir, 'plan.json'), JSON.stringify({ ...plan, id }));
  const { stdout } = await tandem('types', dir);
  await rm(dir, { recursive: true });
  expect(/export type (.*) =/.exec(stdout)?.[1]).toBe(type);
});
