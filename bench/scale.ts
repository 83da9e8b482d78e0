/**
 * How the compiler grows: a model of 100 MB read, cut, simplified and written, with the most memory that took; and graphs
 * of 10^2 to 10^5 nodes through the same. Each in a process of its own: `node dist/bench/scale.js [case]`.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { legalBoundaries } from '../compiler/cut/boundaries.ts';
import { extractChain } from '../compiler/cut/extract.ts';
import { flowOf } from '../compiler/cut/flow.ts';
import { type Graph, ints, type Model, makeGraph, makeNode } from '../compiler/graph/graph.ts';
import { verifyGraph } from '../compiler/graph/verify.ts';
import { readModelFile, writeModelFile } from '../compiler/onnx/files.ts';
import { simplify } from '../compiler/passes/index.ts';
import { markdownTable } from './stats.ts';

interface Stages {
  readonly readMs: number;
  readonly boundariesMs: number;
  readonly cutMs: number;
  readonly simplifyMs: number;
  readonly writeMs: number;
  readonly peakBytes: number;
}

const NODE_COUNTS = [100, 1_000, 10_000, 100_000];
/** Folding starts anew after every fold: quadratic, so these stay smaller. */
const FOLDED_COUNTS = [300, 1_000, 3_000];
const LAYERS = 25;
const LAYER_SIDE = 1_000;

const [what, path = ''] = process.argv.slice(2);
if (what === 'run') process.stdout.write(JSON.stringify(run(path)));
else main();

function main(): void {
  const folder = mkdtempSync(join(tmpdir(), 'tandem-scale-'));
  const measure = (name: string, model: Model) => {
    const file = join(folder, `${name}.onnx`);
    writeModelFile(model, file);
    const { stdout, status } = spawnSync(process.execPath, [fileURLToPath(import.meta.url), 'run', file], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    if (status !== 0) throw new Error(`the case ${name} failed`);
    return { bytes: statSync(file).size, ...(JSON.parse(stdout.toString()) as Stages) };
  };
  const base = measure('nothing', chain(2, 0));
  const large = measure('large', chain(LAYERS, LAYER_SIDE));
  const total = ({ readMs, boundariesMs, cutMs, simplifyMs, writeMs }: Stages) =>
    readMs + boundariesMs + cutMs + simplifyMs + writeMs;
  const extra = large.peakBytes - base.peakBytes;
  process.stdout.write(
    `A model of ${(large.bytes / 1e6).toFixed(0)} MB: read, cut, simplified and written in ${(total(large) / 1000).toFixed(2)} s, ` +
      `${(extra / large.bytes).toFixed(1)} times its size in memory beyond an empty run.\n\n`,
  );
  const row = (name: string, count: number, model: Model) => {
    const stages = measure(`${name}-${count}`, model);
    const { readMs, boundariesMs, cutMs, simplifyMs, writeMs } = stages;
    const cells = [readMs, boundariesMs, cutMs, simplifyMs, writeMs].map((ms) => ms.toFixed(0));
    return [name, String(count), ...cells, ((1000 * total(stages)) / count).toFixed(1)];
  };
  const rows = [
    ...NODE_COUNTS.map((count) => row('nothing to simplify', count, chain(count, 0))),
    ...FOLDED_COUNTS.map((count) => row('a third folds', count, foldable(count))),
  ];
  const head = ['graph', 'nodes', 'read, ms', 'boundaries', 'cut', 'simplify', 'write', 'us a node'];
  process.stdout.write(`${markdownTable(head, rows)}\n`);
  rmSync(folder, { recursive: true });
}

function run(file: string): Stages {
  const clock = () => performance.now();
  const times = [clock()];
  const model = readModelFile(file);
  verifyGraph(model.graph, file);
  times.push(clock());
  const { legal } = legalBoundaries(flowOf(model.graph), 1);
  times.push(clock());
  const middle = legal[Math.floor(legal.length / 2)];
  const { segments } = extractChain(model.graph, middle ? [middle.tensors] : []);
  times.push(clock());
  for (const { graph } of segments) simplify(graph);
  times.push(clock());
  for (const [i, { graph }] of segments.entries()) writeModelFile({ ...model, graph }, `${file}.${i}.onnx`);
  times.push(clock());
  const [readMs = 0, boundariesMs = 0, cutMs = 0, simplifyMs = 0, writeMs = 0] = times
    .slice(1)
    .map((time, i) => time - (times[i] as number));
  const peakBytes = process.resourceUsage().maxRSS * 1024;
  return { readMs, boundariesMs, cutMs, simplifyMs, writeMs, peakBytes };
}

/** Layers one after another: MatMul and Relu with weights, or Neg alone where `side` is 0. */
function chain(count: number, side: number): Model {
  const initializers: Graph['initializers'] = new Map();
  const nodes: Graph['nodes'] = [];
  let last = 'x';
  for (let i = 0; i < count; i++) {
    if (side > 0) {
      const bytes = new Uint8Array(Float32Array.from({ length: side * side }, (_, j) => Math.sin(i + j)).buffer);
      initializers.set(`w${i}`, { elementType: 'float32', shape: [side, side], bytes });
      nodes.push(makeNode('MatMul', [last, `w${i}`], [`m${i}`]), makeNode('Relu', [`m${i}`], [`v${i}`]));
    } else {
      nodes.push(
        makeNode(i % 3 === 0 ? 'Neg' : 'Transpose', [last], [`v${i}`], i % 3 === 0 ? {} : { perm: ints([1, 0]) }),
      );
    }
    last = `v${i}`;
  }
  const value = (name: string) => ({ name, elementType: 'float32' as const, shape: [1, side || 4] });
  const graph = makeGraph({ inputs: [value('x')], outputs: [{ ...value(last), shape: null }], nodes, initializers });
  return { graph, irVersion: 8, opsets: new Map([['', 13]]), producer: 'bench', metadata: new Map() };
}

/** Conv, a factor a channel, Relu, one after another: every factor folds into the Conv before it. */
function foldable(count: number): Model {
  const constant = (shape: number[]) => {
    const elements = shape.reduce((product, dim) => product * dim, 1);
    return {
      elementType: 'float32' as const,
      shape,
      bytes: new Uint8Array(new Float32Array(elements).fill(0.5).buffer),
    };
  };
  const initializers: Graph['initializers'] = new Map();
  const nodes: Graph['nodes'] = [];
  let last = 'x';
  for (let i = 0; i < count / 3; i++) {
    initializers.set(`w${i}`, constant([8, 8, 1, 1])).set(`f${i}`, constant([1, 8, 1, 1]));
    nodes.push(
      makeNode('Conv', [last, `w${i}`], [`c${i}`]),
      makeNode('Mul', [`c${i}`, `f${i}`], [`m${i}`]),
      makeNode('Relu', [`m${i}`], [`v${i}`]),
    );
    last = `v${i}`;
  }
  const value = (name: string, shape: readonly number[] | null) => ({ name, elementType: 'float32' as const, shape });
  const inputs = [value('x', [1, 8, 4, 4])];
  const graph = makeGraph({ inputs, outputs: [value(last, null)], nodes, initializers });
  return { graph, irVersion: 8, opsets: new Map([['', 13]]), producer: 'bench', metadata: new Map() };
}
