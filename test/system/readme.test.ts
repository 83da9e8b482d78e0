import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { parseServerConfig } from '../../server/config.ts';
import { cleanLines } from '../helpers/clean-lines.ts';
import { run, type ServerProcess, startServer } from '../helpers/processes.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
// Inside the package, where `tandem/client` means what it means to users.
const FOLDER = join(ROOT, 'dist/readme');

let server: ServerProcess;
beforeAll(async () => {
  server = await startServer();
  await mkdir(FOLDER, { recursive: true });
});
afterAll(async () => {
  await server.kill();
  await rm(FOLDER, { recursive: true, force: true });
});

test('the README’s example for Node runs as it stands and says where the line was read', async () => {
  const readme = await readFile(join(ROOT, 'README.md'), 'utf8');
  const [, example = ''] = /```js\n(.*?)```/s.exec(readme) ?? [];
  expect(example).toContain("from 'tandem/client'");
  await writeFile(join(FOLDER, 'line.png'), cleanLines(1)[0]?.png ?? '');
  await writeFile(join(FOLDER, 'example.mjs'), example.replace('http://127.0.0.1:8080', server.url));
  const { code, stdout, stderr } = await run(process.execPath, ['example.mjs'], FOLDER);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(stdout.split('\n', 1)[0]).toBe(cleanLines(1)[0]?.text);
  expect(stdout).toMatch(/^k = \d, \d+ bytes up, \d+ ms$/m);
});

test('the README’s configuration is one', async () => {
  const readme = await readFile(join(ROOT, 'README.md'), 'utf8');
  const [, example = ''] = /```json\n(.*?)```/s.exec(readme) ?? [];
  const config = JSON.parse(example.replace(/<printf[^>]*>/, '0'.repeat(64)));
  expect(parseServerConfig(config, 'README.md')).toMatchObject({ queueDepthMax: 64, logRequests: true });
});

test('the README’s example for web pages type-checks', async () => {
  const readme = await readFile(join(ROOT, 'README.md'), 'utf8');
  const [, example = ''] = /```ts\n(.*?)```/s.exec(readme) ?? [];
  expect(example).toContain("from 'tandem/client'");
  await writeFile(join(FOLDER, 'page.ts'), `declare const photo: File;\n${example}\nconsole.log(outputs, route);\n`);
  const options = { module: 'esnext', moduleResolution: 'bundler', target: 'es2022', strict: true, noEmit: true };
  const compilerOptions = { ...options, lib: ['es2023', 'dom'], types: [] };
  await writeFile(join(FOLDER, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: ['page.ts'] }));
  const outcome = await run(join(ROOT, 'node_modules/.bin/tsc'), ['-p', FOLDER]);
  expect(outcome).toEqual({ code: 0, stdout: '', stderr: '' });
});
