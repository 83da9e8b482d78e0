import { readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { checkAgainstPlans } from '../../server/check-config.ts';
import { parseServerConfig } from '../../server/config.ts';
import { denialOf, permissionOf } from '../../shared/policy/permission.ts';
import { snippetsOf } from '../helpers/doc-snippets.ts';
import { chainPlan } from '../shared/sample-plan.ts';

test('the configuration in docs/policy.md is one, and says what the page says', async () => {
  const page = await readFile(new URL('../../docs/policy.md', import.meta.url), 'utf8');
  const [example] = snippetsOf(page).filter(({ lang }) => lang === 'json');
  const json = (example?.code ?? '').replace(/<printf[^>]*>/, '0'.repeat(64));
  const config = parseServerConfig(JSON.parse(json), 'docs/policy.md');
  const plan = chainPlan([['x'], ['p2o.AveragePool.1'], ['y']]);
  for (const { tiers } of plan.boundaries.slice(0, 2)) {
    tiers.push(...['q4', 'q6', 'q8'].map((name) => ({ type: 'raw' as const, name })));
  }
  expect(checkAgainstPlans(config, [plan])).toEqual([
    'docs/policy.md: region: no label has terms for eu, only for us',
    'docs/policy.md: policy.labels.medical.leakageMax: sample has no leakage measured, so nothing of it may be sent under a ceiling',
  ]);
  const here = { networks: [], regions: ['eu'], tenants: ['clinic'] };
  const permission = permissionOf(config.policy, 'medical', plan, here);
  expect(permission).toMatchObject({ floor: 1, allowed: {}, retain: false, noise: [{ type: 'gaussian' }] });
  expect(denialOf(permission, 1, 'q4')?.kind).toBe('leakage');
  expect(denialOf(permission, 1, 'q8')?.kind).toBe('tier');
  expect(denialOf(permission, 0, 'q4')?.kind).toBe('boundary');
});
