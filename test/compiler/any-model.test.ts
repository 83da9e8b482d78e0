/** Models that nobody wrote a recipe for, from file to answer: cut, compiled, verified, served and cut anew for a request. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { zipSync } from 'fflate';
import * as ort from 'onnxruntime-node';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { realModels } from '../../bench/real-models.ts';
import type { LayerForm } from '../../compiler/compress/segment-recipe.ts';
import { configuredRecipe, parseCompileConfig } from '../../compiler/config.ts';
import {
  anyModelRecipe,
  type CompileOptions,
  choose,
  compile,
  type Dims,
  inspect,
  verify,
} from '../../compiler/index.ts';
import { writeModelFile } from '../../compiler/onnx/files.ts';
import { folderSource } from '../../runtimes/bundle-folder.ts';
import { nodeRuntime } from '../../runtimes/onnxruntime-node.ts';
import { readPlanFile } from '../../shared/bundle.ts';
import { boundaryTensors, runSegments } from '../../shared/chain.ts';
import { outputsBehind, type Plan } from '../../shared/plan.ts';
import { npy } from '../helpers/npz.ts';
import { coded } from './coded.ts';
import { modelOf } from './run-graph.ts';
import { graphOf } from './text-graph.ts';

vi.setConfig({ testTimeout: 60_000 });

const pathOf = (name: string) => realModels().find((model) => model.name === name)?.path as string;
let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'tandem-any-'));
});
afterAll(() => rm(dir, { recursive: true }));

async function compiled(
  name: string,
  options: Parameters<typeof anyModelRecipe>[1],
): Promise<{ plan: Plan; out: string }> {
  const out = join(dir, name);
  const recipe = await anyModelRecipe(pathOf(name), options);
  const { plan } = await compile(recipe, out, { samples: 3, targets: ['node'] });
  expect((await verify(recipe, out, { samples: 3 })).holds).toBe(true);
  return { plan, out };
}

describe('a model without a recipe', () => {
  test('is cut where that serves somebody, and its chain is the whole', async () => {
    const path = pathOf('embedding_model.onnx');
    const dims = { sizes: {}, shapes: {} };
    const recipe = await anyModelRecipe(path, { cuts: [], dims });
    const choice = await choose(recipe, { count: 3, tensorsMax: 2, target: 'node' });
    expect(choice.candidates.length).toBeGreaterThan(8);
    const [best] = choice.tried;
    expect(best?.expectedMs).toBeLessThanOrEqual(choice.withoutMs);
    expect(best?.expectedMs).toBeGreaterThanOrEqual(choice.withAllMs);
    expect(choice.chosen).toEqual(best?.chosen);
    // Timed again as chains, the best first.
    expect(choice.tried.length).toBe(3);
    const timed = choice.tried.map(({ timedMs }) => timedMs);
    expect(timed).toEqual([...timed].sort((a, b) => a - b));
    // Noise means nothing to it: it is sent in so many bits that the answer stays.
    for (const { tier, bytes, memoryBytes } of choice.candidates) {
      expect(['q8', 'q4', 'raw']).toContain(tier);
      expect(bytes).toBeGreaterThan(0);
      expect(memoryBytes).toBeGreaterThan(0);
    }
    const memory = choice.candidates.map(({ memoryBytes }) => memoryBytes);
    expect(memory).toEqual([...memory].sort((a, b) => a - b));
    const times = choice.candidates.map(({ headMs }) => headMs);
    expect(times).toEqual([...times].sort((a, b) => a - b));
    const cuts = [1, 2, 3].map((i) => [...(choice.candidates[4 * i - 1]?.tensors ?? [])]);
    const { plan } = await compiled('embedding_model.onnx', { cuts, dims });
    expect(plan.boundaries.map(({ tiers }) => tiers.map(({ name }) => name).join())).toEqual([
      ...new Array(4).fill('q8,q4,raw'),
      '',
    ]);
    // Sent as it is, a boundary costs no accuracy but that of the head.
    const error = (k: number, tier: string) =>
      plan.measured?.accuracy.find((row) => row.k === k && row.tier === tier)?.metrics['outputError'] ?? Number.NaN;
    expect(error(0, 'raw')).toBe(0);
    expect(error(1, 'q4')).toBeGreaterThan(error(1, 'q8'));
  });

  test('is cut too where it has GELU in an operator set that has no such operator', async () => {
    const path = join(dir, 'gelu.onnx');
    const cube =
      'a = MatMul(x, w)\ns = Mul(a, a)\nc = Mul(s, a)\nk = Mul(c, 0.044715)\np = Add(a, k)\nq = Mul(p, 0.7978845608)';
    const gelu = `${cube}\nt = Tanh(q)\no = Add(t, 1.0)\nh = Mul(a, 0.5)\ng = Mul(h, o)`;
    const graph = graphOf(
      `in x [1,64]\nconst w [64,64]\nconst v [64,64]\n${gelu}\nz = MatMul(g, v)\ny = Tanh(z)\nout y`,
    );
    writeModelFile(modelOf(graph, 13), path);
    const recipe = await anyModelRecipe(path, { cuts: [], dims: { sizes: {}, shapes: {} } });
    const { chosen, candidates } = await choose(recipe, { count: 1, tensorsMax: 1, target: 'node' });
    expect(candidates.length).toBeGreaterThan(1);
    expect(chosen).toHaveLength(1);
  });

  test('is not cut where no boundary has a tier that is asked for (BAD_CUT)', async () => {
    const path = join(dir, 'narrow.onnx');
    writeModelFile(modelOf(graphOf('in x [1,4]\na = Tanh(x)\ny = Neg(a)\nout y'), 13), path);
    const recipe = await anyModelRecipe(path, { cuts: [], dims: { sizes: {}, shapes: {} } });
    const narrow = configuredRecipe(recipe, parseCompileConfig({ tiers: ['p128q6'] }, 'c.json'));
    const asked = { count: 1, tensorsMax: 1, target: 'node' };
    await expect(choose(narrow, asked)).rejects.toThrow(coded('BAD_CUT', 'can be sent'));
  });

  test('is not cut where shapes depend on values', async () => {
    const path = join(dir, 'found.onnx');
    const text =
      'in x [1,16]\nconst w [16,16]\na = MatMul(x, w)\nb = Relu(a)\ni = NonZero(b)\nf = Cast(i) to=1\ny = Neg(f)\nout y';
    writeModelFile(modelOf(graphOf(text), 13), path);
    const recipe = await anyModelRecipe(path, { cuts: [], dims: { sizes: {}, shapes: {} } });
    const { candidates } = await choose(recipe, { count: 2, tensorsMax: 1, target: 'node' });
    expect(candidates.map(({ tensors }) => tensors)).toEqual([['a'], ['b']]);
  });

  test('with an If is opened by fixing what it depends on; state passes by, and outputs stay where they are made', async () => {
    const shapes = { input: [1, 512], state: [2, 1, 128] };
    const options = { dims: { sizes: {}, shapes }, fixed: { sr: 16_000 } };
    const file = pathOf('silero_vad_v5.onnx');
    const asked = { tensorsMax: 2, dims: options.dims };
    expect((await inspect({ source: file, file }, asked)).boundaries.length).toBeLessThan(5);
    const { boundaries } = await inspect({ source: file, file, fixed: options.fixed }, asked);
    expect(boundaries.length).toBeGreaterThan(20);
    const early = boundaries.find(({ tensors, macsBefore = 0 }) => tensors[0]?.name === 'state' && macsBefore > 0.5);
    const cut = early?.tensors.map(({ name }) => name) ?? [];
    const { plan, out } = await compiled('silero_vad_v5.onnx', { ...options, cuts: [cut, ['If_0_outputs_0']] });
    expect(plan.boundaries[0]?.tensors.map(({ name }) => name)).toEqual(['input', 'state']);
    expect(plan.boundaries[1]?.tensors[0]).toMatchObject({ name: 'state', shape: [2, 1, 128] });
    expect(outputsBehind(plan, 0).map(({ name }) => name)).toEqual(['output', 'stateN']);
    // The new state is made before the second boundary, so whoever runs from there gives the score alone.
    expect(outputsBehind(plan, 2).map(({ name }) => name)).toEqual(['output']);
    const runtime = nodeRuntime(ort, { threads: 1 });
    const source = folderSource(out);
    const sessions = await Promise.all(
      plan.segments.map(async ({ server }) => runtime.load(await readPlanFile(source, server))),
    );
    const recipe = await anyModelRecipe(file, { ...options, cuts: [] });
    const live = await runSegments(plan, sessions, { from: 0, to: 3, tensors: recipe.noise(1) });
    expect(boundaryTensors(plan, 3, live).map(({ shape }) => shape)).toEqual([
      [1, 1],
      [2, 1, 128],
    ]);
  });

  test('of an old IR version, with constants that nobody reads and an input that is an output, is served as it is', async () => {
    const graph = graphOf(
      'in x [1,4]\nconst unread [2]\nconst w [4,4]\na = MatMul(x, w)\nb = Relu(a)\ny = Neg(b)\nout y',
    );
    graph.overridable = [...graph.initializers].map(([name, { elementType, shape }]) => ({ name, elementType, shape }));
    graph.outputs.push({ name: 'x', elementType: 'float32', shape: [1, 4] });
    const path = join(dir, 'old.onnx');
    writeModelFile({ ...modelOf(graph), irVersion: 3 }, path);
    const recipe = await anyModelRecipe(path, { cuts: [['a']], dims: { sizes: {}, shapes: {} } });
    const out = join(dir, 'old');
    const { plan } = await compile(recipe, out, { samples: 2, targets: ['node'] });
    expect(plan.boundaries.at(-1)?.tensors.map(({ name }) => name)).toEqual(['y', 'x']);
    // The client has it already.
    expect(outputsBehind(plan, 0).map(({ name }) => name)).toEqual(['y']);
    expect((await verify(recipe, out, { samples: 2 })).holds).toBe(true);
  });

  test('whose Range onnxruntime turns into a Slice is looked at as it is written', async () => {
    // Positions as torch.arange(x.shape[1]) of an embedding: asked for what such a Range makes, the optimized graph crashes.
    const positions = 's = Shape(x)\nn = Gather(s, 1n)\nr = Range(0n, n, 1n)\np = Gather(w, r)\na = Add(x, p)';
    const path = join(dir, 'range.onnx');
    const text = `in x [1,steps,16]\nconst w [64,16]\nconst v [16,16]\n${positions}\nb = MatMul(a, v)\ny = Tanh(b)\nout y`;
    writeModelFile(modelOf(graphOf(text), 18), path);
    const recipe = await anyModelRecipe(path, { cuts: [['a']], dims: { sizes: {}, shapes: {} } });
    const { candidates } = await choose(recipe, { count: 1, tensorsMax: 1, target: 'node' });
    expect(candidates.map(({ tensors }) => tensors)).toEqual([['a'], ['b']]);
    await compile(recipe, join(dir, 'range'), { samples: 2, targets: ['node'] });
    expect((await verify(recipe, join(dir, 'range'), { samples: 2 })).holds).toBe(true);
  });

  test('that makes no numbers of numbers below 0 has no golden answer there, and is compiled all the same', async () => {
    const graph = graphOf('in x [1,4]\na = Exp(x)\nb = Sqrt(a)\ny = Neg(b)\nout y');
    const path = join(dir, 'root.onnx');
    writeModelFile(modelOf(graph), path);
    const recipe = await anyModelRecipe(path, { cuts: [['a'], ['b']], dims: { sizes: {}, shapes: {} } });
    const out = join(dir, 'root');
    const { plan } = await compile(recipe, out, { samples: 2, targets: ['node'] });
    const golden = plan.segments.map(({ targets }) => targets['node']?.golden);
    expect(golden).toEqual([[expect.any(Array)], undefined, [expect.any(Array)]]);
    expect((await verify(recipe, out, { samples: 2 })).holds).toBe(true);
  });

  test('that takes integers is compiled, with a golden answer where it runs on the known ones', async () => {
    const graph = graphOf(
      'const table [5,4]\nconst single [1,4]\na = Gather(table, ids)\nb = Tanh(a)\nr = Gather(single, row)\ny = Add(b, r)\nout y',
    );
    graph.inputs.push(
      { name: 'ids', elementType: 'int64', shape: [3] },
      { name: 'row', elementType: 'int32', shape: [1] },
    );
    const path = join(dir, 'ids.onnx');
    writeModelFile(modelOf(graph), path);
    const samples = join(dir, 'ids.npz');
    const ids = npy('<i8', '(3,)', new Uint8Array(BigInt64Array.of(4n, 0n, 2n).buffer));
    await writeFile(samples, zipSync({ 'ids.npy': ids, 'row.npy': npy('<i4', '(1,)', new Uint8Array(4)) }));
    const recipe = await anyModelRecipe(path, { cuts: [['b', 'row']], dims: { sizes: {}, shapes: {} }, samples });
    const out = join(dir, 'ids');
    const { plan } = await compile(recipe, out, { samples: 2, targets: ['node'] });
    // There is no row 1 of a single one.
    expect(plan.segments.map(({ targets }) => targets['node']?.golden)).toEqual([[expect.any(Array)], undefined]);
    expect((await verify(recipe, out, { samples: 2 })).holds).toBe(true);
  });

  test('that finds nothing is compiled as any other', async () => {
    // As a detector that sees noise.
    const path = join(dir, 'nothing.onnx');
    const text = 'in x [1,8]\na = Tanh(x)\nb = Sub(a, 2)\nr = Relu(b)\nn = NonZero(r)\ny = Cast(n) to=1\nout y';
    writeModelFile(modelOf(graphOf(text), 13), path);
    const recipeAt = (...cuts: string[][]) => anyModelRecipe(path, { cuts, dims: { sizes: {}, shapes: {} } });
    const out = join(dir, 'nothing');
    const options = { samples: 2, targets: ['node'] };
    const { plan } = await compile(await recipeAt(['b']), out, options);
    expect(plan.boundaries.map(({ tensors: [tensor] }) => tensor?.shape)).toEqual([
      [1, 8],
      [1, 8],
      [2, 1],
    ]);
    expect((await verify(await recipeAt(['b']), out, { samples: 2 })).holds).toBe(true);
    await expect(compile(await recipeAt(['n']), join(dir, 'x'), options)).rejects.toThrow(
      coded('UNSUPPORTED', 'n of boundary 1 is empty, [2,0]'),
    );
  });

  test('is not cut where names are longer than a plan takes', async () => {
    const path = join(dir, 'long.onnx');
    const long = 'encoder/'.repeat(40);
    writeModelFile(modelOf(graphOf(`in x [1,8]\n${long} = Tanh(x)\nb = Neg(${long})\ny = Exp(b)\nout y`), 13), path);
    const dims = { sizes: {}, shapes: {} };
    const recipe = await anyModelRecipe(path, { cuts: [[long]], dims });
    const told = 'a name of 320 characters, expected 256 at most: encoder/';
    await expect(compile(recipe, join(dir, 'x'), { targets: ['node'] })).rejects.toThrow(coded('UNSUPPORTED', told));
    const { candidates } = await choose(recipe, { count: 1, tensorsMax: 1, target: 'node' });
    expect(candidates.map(({ tensors }) => tensors)).toEqual([['b']]);
    const { remarks } = await inspect({ source: path, file: path }, { tensorsMax: 1, dims });
    expect(remarks).toEqual(['1 boundaries are left out: their tensors have names of more than 256 characters']);
  });

  test('whose answers are now and then no numbers, masked, or of another size when coarsely sent, has a plan that can be read', async () => {
    const dims = { sizes: {}, shapes: {} };
    const models = {
      logarithm: 'in x [1,8]\na = Log(x)\ny = Neg(a)\nout y',
      masked: 'in x [1,8]\nconst m [8] = 1 1 1 0 1 1 0 1\na = Tanh(x)\nl = Log(m)\ny = Add(a, l)\nout y',
      positive: 'in x [1,8]\na = Relu(x)\ni = NonZero(a)\nf = Cast(i) to=1\ny = Neg(f)\nout y',
    };
    const holds: Record<string, boolean> = {};
    for (const [name, text] of Object.entries(models)) {
      const path = join(dir, `${name}.onnx`);
      writeModelFile(modelOf(graphOf(text), 13), path);
      const recipe = await anyModelRecipe(path, { cuts: [['a']], dims });
      await compile(recipe, join(dir, name), { samples: 4, targets: ['node'] });
      holds[name] = (await verify(recipe, join(dir, name), { samples: 4 })).holds;
    }
    // What is no number is not known to be right.
    expect(holds).toEqual({ logarithm: false, masked: true, positive: true });
  });

  test('is compressed anew where something else is asked for, and not where the same is', async () => {
    const path = join(dir, 'asked.onnx');
    writeModelFile(modelOf(graphOf('in x [1,64]\nconst w [64,64]\na = MatMul(x, w)\ny = Tanh(a)\nout y'), 13), path);
    const recipe = await anyModelRecipe(path, { cuts: [], dims: { sizes: {}, shapes: {} } });
    const isMadeAnew = async (options: CompileOptions) =>
      (await compile(recipe, join(dir, 'asked'), { samples: 2, targets: ['node'], ...options })).isMeasuredNow;
    const pinned = (form: LayerForm): CompileOptions => ({ pins: [{ match: '*', form }] });
    expect(await isMadeAnew(pinned('float16'))).toBe(true);
    expect(await isMadeAnew(pinned('w8'))).toBe(true);
    expect(await isMadeAnew(pinned('w8'))).toBe(false);
    expect(await isMadeAnew({ float: true })).toBe(true);
    expect(await isMadeAnew({ budget: { accuracyDropMax: 0.1 } })).toBe(true);
    expect(await isMadeAnew({})).toBe(true);
    await expect(isMadeAnew({ pins: [{ match: 'conv*', form: 'w8' }] })).rejects.toThrow(
      coded('BAD_CONFIG', "no layer's output matches conv*: expected one of a"),
    );
    // What the default is, said.
    expect(await isMadeAnew({ budget: { accuracyDropMax: 0.02 } })).toBe(false);
  });

  test('is told which sizes it has open, and those that it has not are refused (USAGE)', async () => {
    const path = join(dir, 'open.onnx');
    writeModelFile(modelOf(graphOf('in x [N,4,W]\na = Tanh(x)\ny = Neg(a)\nout y'), 13), path);
    const recipeAt = (dims: Dims) => anyModelRecipe(path, { cuts: [], dims });
    expect((await recipeAt({ sizes: { W: 8 }, shapes: {} })).shapesTaken).toEqual([
      expect.stringContaining('x [N,4,W] was taken to be [1,4,8]'),
    ]);
    expect((await recipeAt({ sizes: { N: 1, W: 8 }, shapes: {} })).shapesTaken).toEqual([]);
    expect((await recipeAt({ sizes: {}, shapes: { x: [1, 4, 8] } })).shapesTaken).toEqual([]);
    const refuses = (dims: Dims, told: string) => expect(recipeAt(dims)).rejects.toThrow(coded('USAGE', told));
    await refuses({ sizes: { width: 8 }, shapes: {} }, 'no open dimension width: expected one of N, W');
    await refuses({ sizes: {}, shapes: { X: [1, 4, 8] } }, 'no input X: expected one of x');
  });

  test('that cannot run at the sizes guessed is told what to say (BAD_INPUT)', async () => {
    const recipe = await anyModelRecipe(pathOf('melspectrogram.onnx'), { cuts: [], dims: { sizes: {}, shapes: {} } });
    await expect(compile(recipe, join(dir, 'x'), { samples: 1, targets: ['node'] })).rejects.toThrow(
      coded('BAD_INPUT', '--shape'),
    );
  });
});
