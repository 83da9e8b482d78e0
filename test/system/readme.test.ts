import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { parseServerConfig } from '../../server/config.ts';
import { cleanLines } from '../helpers/clean-lines.ts';
import { BUNDLE_DIR, run, type ServerProcess, startServer, tandem } from '../helpers/processes.ts';

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

test('what docs/operations.md says to watch is there, and its limits are the defaults', async () => {
  const text = await readFile(join(ROOT, 'docs/operations.md'), 'utf8');
  const metrics = await (await fetch(`${server.url}/metrics`)).text();
  const named = new Set(text.match(/tandem_[a-z_]+/g));
  expect(named.size).toBeGreaterThan(8);
  for (const name of named) expect(metrics).toContain(`# TYPE ${name.replace(/_bucket$/, '')} `);
  const config: Record<string, unknown> = parseServerConfig({ bundles: ['.'], policy: { labels: {} } }, 'defaults');
  const limits = [...text.matchAll(/`([a-zA-Z]+)` \(?(\d+)( MiB| s)?\)? \|/g)];
  expect(limits.length).toBe(11);
  const unit: Record<string, number> = { ' MiB': 2 ** 20, ' s': 1000 };
  for (const [, key = '', value, suffix = ''] of limits) expect(config[key]).toBe(Number(value) * (unit[suffix] ?? 1));
});

/** Of a web app's file, in FOLDER. */
async function expectTyped(file: string): Promise<void> {
  const options = { module: 'esnext', moduleResolution: 'bundler', target: 'es2022', strict: true, noEmit: true };
  const compilerOptions = { ...options, lib: ['es2023', 'dom'], types: [] };
  await writeFile(join(FOLDER, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: [file] }));
  const outcome = await run(join(ROOT, 'node_modules/.bin/tsc'), ['-p', FOLDER]);
  expect(outcome).toEqual({ code: 0, stdout: '', stderr: '' });
}

test('the README’s example for web pages type-checks', async () => {
  const readme = await readFile(join(ROOT, 'README.md'), 'utf8');
  const [, example = ''] = /```ts\n(.*?)```/s.exec(readme) ?? [];
  expect(example).toContain("from 'tandem/client'");
  await writeFile(join(FOLDER, 'page.ts'), `declare const photo: File;\n${example}\nconsole.log(outputs, route);\n`);
  await expectTyped('page.ts');
});

test('a model’s types, as `tandem types` writes them, hold what infer takes and gives', async () => {
  const { code, stdout, stderr } = await tandem('types', BUNDLE_DIR);
  expect([code, stderr]).toEqual([0, '']);
  await writeFile(join(FOLDER, 'model.ts'), stdout);
  const app = `
    import { connect, type Tensor } from 'tandem/client';
    import type { OcrLine } from './model';
    declare const photo: File;
    const client = await connect<OcrLine>({ url: 'https://gateway.example', model: 'ocr-line' });
    const { outputs } = await client.infer(photo);
    const classes: BigInt64Array | Int32Array | Float32Array = outputs.indices.data;
    // @ts-expect-error there is no such output
    outputs.text;
    const x = { dtype: 'float32', shape: [1, 3, 48, 320], data: new Float32Array(46080) } as const;
    await client.infer({ x });
    // @ts-expect-error the input has another name
    await client.infer({ y: x });
    // @ts-expect-error and is not of integers
    await client.infer({ x: { ...x, dtype: 'int8', data: new Int8Array(1) } });
    const any = await connect({ url: 'https://gateway.example', model: 'ocr-line' });
    const tensor: Tensor | undefined = (await any.infer({ whatever: x })).outputs['text'];
    console.log(classes, tensor);`;
  await writeFile(join(FOLDER, 'app.ts'), app);
  await expectTyped('app.ts');
  expect(await tandem('types', FOLDER)).toMatchObject({ code: 2, stdout: '' });
});
