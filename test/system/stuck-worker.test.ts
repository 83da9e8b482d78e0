/** A worker that is at a model's run for too long: onnxruntime is at work on its thread, so nothing here can stand in for it. */
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { int, ints, makeGraph, makeNode } from '../../compiler/graph/graph.ts';
import { writeModel } from '../../compiler/onnx/write.ts';
import { run, temporaryFolder } from '../helpers/processes.ts';

/** Rows and columns of what is multiplied twelve times: a second or so of work out of one number. */
const N = 1400;

let dir: string;
beforeAll(async () => {
  dir = await temporaryFolder();
  const edge = (name: string, shape: (number | string)[]) => ({ name, elementType: 'float32' as const, shape });
  const save = async (file: string, parts: Parameters<typeof makeGraph>[0]) => {
    const model = { irVersion: 8, opsets: new Map([['', 12]]), producer: 'test', metadata: new Map() };
    await writeFile(join(dir, file), writeModel({ graph: makeGraph(parts), ...model }));
  };
  await save('1.onnx', {
    name: 'first',
    inputs: [edge('x', [1, 3, 4, 'width'])],
    outputs: [edge('h', [1, 3, 4, 'width'])],
    nodes: [makeNode('Relu', ['x'], ['h'])],
  });
  const nodes = [
    makeNode('ReduceMean', ['h'], ['mean'], { keepdims: int(0), axes: ints([0, 1, 2, 3]) }),
    makeNode('Add', ['c', 'mean'], ['m0']),
    ...Array.from({ length: 12 }, (_, i) => makeNode('MatMul', [`m${i}`, 'c'], [`m${i + 1}`])),
    makeNode('ReduceMean', ['m12'], ['y'], { keepdims: int(0), axes: ints([0]) }),
  ];
  await save('2.onnx', {
    name: 'second',
    inputs: [edge('h', [1, 2, 1, 'steps'])],
    outputs: [edge('y', [N])],
    nodes,
    initializers: new Map([['c', { elementType: 'float32', shape: [N, N], bytes: new Uint8Array(4 * N * N) }]]),
  });
});
afterAll(() => rm(dir, { recursive: true }));

const script = (body: string) => `
  import { readFileSync } from 'node:fs';
  import { smallPlan } from '${new URL('../../dist/client/testkit/small-plan.js', import.meta.url)}';
  import { embeddedExecutor } from '${new URL('../../dist/server/executors/embedded.js', import.meta.url)}';
  const segments = ['1.onnx', '2.onnx'].map((name) => readFileSync('${dir}/' + name));
  const bundles = [{ plan: smallPlan(), segments }];
  const start = (taskTimeoutMs) =>
    embeddedExecutor({ bundles, workers: 1, threads: 1, taskTimeoutMs, onRestart: (reason) => console.log(reason) });
  const payload = { parts: [new Uint8Array(9)], shapes: [[1, 2, 1, 4]] };
  const task = { planId: 'a'.repeat(64), k: 1, tier: 'q8', payload };
  const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
  ${body}
  console.log('lives');`;

test.each([
  [
    'whose task takes too long',
    `const pool = await start(100);
     console.log((await pool.run(task).catch((error) => error)).code);
     await sleep(4000);
     await pool.close();`,
    'its task ran for more than 100 ms\nINTERNAL\nlives\n',
  ],
  [
    'that is at a task as the pool is closed',
    `const pool = await start(60000);
     pool.run(task).catch(() => {});
     await sleep(200);
     await pool.close();
     await sleep(3000);`,
    'lives\n',
  ],
])('a worker %s does not take the process with it', async (_, body, stdout) => {
  const path = join(dir, 'pool.mjs');
  await writeFile(path, script(body));
  expect(await run(process.execPath, [path])).toMatchObject({ code: 0, stdout });
});
