import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { run, temporaryFolder } from '../helpers/processes.ts';

const DOCS = fileURLToPath(new URL('../../docs', import.meta.url));

test('docs/api.md is what `npm run docs` writes, and has what the package exports with its members', async () => {
  const folder = await temporaryFolder();
  const path = join(folder, 'api.md');
  expect(await run(process.execPath, [join(DOCS, 'api.mjs'), path])).toEqual({ code: 0, stdout: '', stderr: '' });
  const fresh = await readFile(path, 'utf8');
  expect(await readFile(join(DOCS, 'api.md'), 'utf8')).toBe(fresh);
  const names = [...fresh.matchAll(/^### (\w+)$/gm)].map(([, name]) => name);
  for (const name of ['connect', 'availability', 'Decision', 'useTandem', 'createTestkit'])
    expect(names).toContain(name);
  expect(fresh).toMatch(/^- `deadlineMs\?: number`: Time until the answer must be there/m);
  expect(fresh).not.toMatch(/readonly \w+:|private |\/\*|\*\//);
  await rm(folder, { recursive: true });
});
