import { mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { installInto, succeeds } from '../helpers/installed.ts';
import { run, tandem, temporaryFolder } from '../helpers/processes.ts';

const SCRIPTS = ['client.js', 'ocr-line.js', 'text-detector.js', 'worker.js'];
const withMaps = (scripts: readonly string[]) => scripts.flatMap((name) => [name, `${name}.map`]);
const FILES = [...withMaps(SCRIPTS), 'ort-wasm-simd-threaded.wasm'].toSorted();

interface Report {
  readonly files: readonly { readonly file: string; readonly bytes: number; readonly written: boolean }[];
}

interface SourceMap {
  readonly sources: readonly string[];
  readonly sourcesContent: readonly (string | null)[];
}

/** What is looked at of package-lock.json. */
interface Lock {
  readonly packages: Readonly<
    Record<string, { readonly hasInstallScript?: boolean; readonly dev?: boolean; readonly optional?: boolean }>
  >;
}

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

let folder: string;
beforeAll(async () => {
  folder = await temporaryFolder();
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe('tandem copy-assets', () => {
  test('copies the runtime and the bundles, says how large they are, and says so again without writing', async () => {
    const dir = join(folder, 'assets');
    const first = JSON.parse((await tandem('copy-assets', dir, '--json')).stdout) as Report;
    expect((await readdir(dir)).toSorted()).toEqual(FILES);
    expect(first.files.map(({ file }) => file).toSorted()).toEqual(FILES.map((name) => join(dir, name)));
    for (const { file, bytes, written } of first.files) {
      expect(written).toBe(true);
      expect((await stat(file)).size).toBe(bytes);
    }
    const wasm = createRequire(import.meta.url).resolve('onnxruntime-web/ort-wasm-simd-threaded.wasm');
    expect((await readFile(join(dir, 'ort-wasm-simd-threaded.wasm'))).equals(await readFile(wasm))).toBe(true);

    await writeFile(join(dir, 'worker.js'), 'of an older version');
    const before = await Promise.all(first.files.map(async ({ file }) => (await stat(file)).mtimeMs));
    const again = JSON.parse((await tandem('copy-assets', dir, '--json')).stdout) as Report;
    expect(again.files.filter(({ written }) => written)).toEqual([
      expect.objectContaining({ file: join(dir, 'worker.js') }),
    ]);
    const after = await Promise.all(first.files.map(async ({ file }) => (await stat(file)).mtimeMs));
    expect(after.filter((time, i) => time !== before[i])).toHaveLength(1);
    expect((await tandem('copy-assets', dir)).stdout).toMatch(/^kept {4}\S+\.wasm {2}[\d,]+ bytes$/m);
  });

  test('each script with a map to its sources, which are in the map', async () => {
    const dir = join(folder, 'maps');
    await tandem('copy-assets', dir);
    for (const name of SCRIPTS) {
      expect(await readFile(join(dir, name), 'utf8')).toMatch(new RegExp(`^//# sourceMappingURL=${name}\\.map$`, 'm'));
      const map = JSON.parse(await readFile(join(dir, `${name}.map`), 'utf8')) as SourceMap;
      expect(map.sources.some((path) => /\/(client|models)\/\S+\.ts$/.test(path))).toBe(true);
      expect(map.sourcesContent.filter((content) => !content)).toEqual([]);
    }
  });

  test('copies what WebGPU needs besides where it is asked for', async () => {
    const dir = join(folder, 'accelerated');
    await tandem('copy-assets', dir, '--accelerated');
    const more = ['ort-wasm-simd-threaded.asyncify.wasm', ...withMaps(['worker-accelerated.js'])];
    expect((await readdir(dir)).toSorted()).toEqual([...FILES, ...more].toSorted());
  });

  test('refuses no folder, two, a file, and a folder below a file', async () => {
    const file = join(folder, 'file');
    await writeFile(file, '');
    for (const args of [[], ['a', 'b'], [file], [join(file, 'x')]]) {
      const outcome = await tandem('copy-assets', ...args);
      expect(outcome).toMatchObject({ code: 2, stdout: '' });
      expect(outcome.stderr).toMatch(/^tandem: USAGE: /);
    }
  });

  test('is installed with nothing that has to be fetched from elsewhere or built', async () => {
    const lock = JSON.parse(await readFile(join(ROOT, 'package-lock.json'), 'utf8')) as Lock;
    const scripted = Object.entries(lock.packages).filter(([, { hasInstallScript: has, dev, optional }]) => {
      return has && !dev && !optional;
    });
    // Its script prints a warning at most.
    expect(scripted.map(([path]) => path)).toEqual(['node_modules/protobufjs']);
  });

  test('works from an installed package that has no development tools', async () => {
    const app = join(folder, 'app');
    await mkdir(app);
    await installInto(app);
    await succeeds('npx', ['--no-install', 'tandem', 'copy-assets', 'public'], app);
    expect((await readdir(join(app, 'public'))).toSorted()).toEqual(FILES);
    // With what was measured of its models, which takes minutes.
    expect(await readdir(join(app, 'node_modules/tandem/models/ocr-line'))).toEqual(['measured.json']);
    // The engine that models are compiled and served with is a peer of it.
    const served = await run(join(app, 'node_modules/.bin/tandem'), ['serve'], app);
    expect(served.stderr).toBe(
      'tandem: UNSUPPORTED: tandem serve runs models with onnxruntime-node: npm install onnxruntime-node\n',
    );
    const help = await run(join(app, 'node_modules/.bin/tandem'), ['--help'], app);
    expect(help).toMatchObject({ code: 0, stdout: expect.stringContaining('\n  tandem copy-assets DIR') });
    // A package that is not whole says so.
    await rm(join(app, 'node_modules/tandem/dist/client/bundled'), { recursive: true });
    const { code, stderr } = await run(join(app, 'node_modules/.bin/tandem'), ['copy-assets', 'public'], app);
    expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringMatching(/^tandem: NOT_FOUND: /) });
  });
});
