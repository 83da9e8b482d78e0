/** Which runtime stands for the server, for each device target, and for the places where segments are timed. */
import { mkdtemp, rm } from 'node:fs/promises';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import * as ortNode from 'onnxruntime-node';
import * as ortWeb from 'onnxruntime-web';
import type { Chromium } from '../runtimes/chromium.ts';
import { ortRuntime } from '../runtimes/onnxruntime.ts';
import { nodeRuntime } from '../runtimes/onnxruntime-node.ts';
import { webRuntime } from '../runtimes/onnxruntime-web.ts';
import { messageOf, TandemError } from '../shared/errors.ts';
import type { Runtime } from '../shared/runtime.ts';
import type { Model } from './graph/graph.ts';
import type { TimingPlace, TimingPlaces } from './measure/places.ts';
import { readModelFile } from './onnx/files.ts';

export function serverRuntime(): Runtime {
  return nodeRuntime(ortNode, { threads: 1 });
}

/** Runs a target's segments in this process. Throws USAGE for a target that there is not. */
export function deviceRuntime(target: string): Runtime {
  switch (target) {
    case 'wasm':
    // Its own kernels are a browser's; the same files give the same numbers here, but for rounding.
    case 'webgpu':
      return webRuntime(ortWeb, { threads: 1 });
    case 'node':
      return nodeRuntime(ortNode, { threads: 1 });
    default:
      throw new TandemError('USAGE', `expected a target wasm, webgpu or node, got ${target}`);
  }
}

/** Computes graphs as they are written, for questions about the graph itself. */
export function literalRuntime(): Runtime {
  return ortRuntime(ortNode, 'onnxruntime-node', {
    executionProviders: ['cpu'],
    graphOptimizationLevel: 'disabled',
    intraOpNumThreads: 1,
    // Only what is fatal: errors are thrown as well.
    logSeverityLevel: 4,
  });
}

/**
 * What onnxruntime-node makes of a model: it writes that down where it is asked to.
 * @param place the server's engine also arranges tensors in blocks of channels, which WebAssembly's does not
 */
export async function optimizedModel(model: Uint8Array, place: 'server' | 'device'): Promise<Model> {
  const folder = await mkdtemp(join(tmpdir(), 'tandem-optimized-'));
  try {
    const path = join(folder, 'optimized.onnx');
    const graphOptimizationLevel = place === 'server' ? 'all' : 'extended';
    const options = { optimizedModelFilePath: path, graphOptimizationLevel, logSeverityLevel: 4 } as const;
    await (await ortNode.InferenceSession.create(model, options)).release();
    return readModelFile(path);
  } finally {
    await rm(folder, { recursive: true });
  }
}

/**
 * Opened when it is first asked for, and to be closed.
 * @param browser path of a Chromium
 */
export function timingPlaces(
  targets: readonly string[],
  browser: string | undefined,
): { open(): Promise<TimingPlaces>; close(): Promise<void> } {
  let chromium: Promise<Chromium | string> | undefined;
  let places: Promise<TimingPlaces> | undefined;
  return {
    open() {
      chromium ??= startBrowser(targets.some((target) => target !== 'node') ? browser : undefined);
      places ??= chromium.then((found) => placesOf(targets, found));
      return places;
    },
    async close() {
      const found = await chromium;
      if (typeof found === 'object') await found.close();
    },
  };
}

/**
 * Each target's place under its name. For wasm that is a real browser where there is one, and then Node's engine, threads and
 * WebGPU are timed beside it.
 */
async function placesOf(targets: readonly string[], chromium: Chromium | string): Promise<TimingPlaces> {
  const places = new Map<string, TimingPlace>(
    targets.map((target) => [target, { target, runtime: deviceRuntime(target) }]),
  );
  if (targets.every((target) => target === 'node')) return { places, machine: describeMachine([]) };
  if (targets.includes('webgpu') && (typeof chromium === 'string' || chromium.adapter === undefined)) {
    const why = typeof chromium === 'string' ? chromium : 'it has no adapter';
    throw new TandemError('UNSUPPORTED', `the target webgpu is timed in Chromium: ${why}; --browser names another one`);
  }
  if (typeof chromium === 'string') {
    return { places, machine: describeMachine([`wasm: under Node, 1 thread (${chromium})`]) };
  }
  const { version, adapter, hasFloat16, processors } = chromium;
  const addPage = async (name: string, provider: 'wasm' | 'webgpu', threads: number, target = 'wasm') => {
    places.set(name, { target, runtime: await chromium.open({ provider, threads }), hasFloat16 });
  };
  if (targets.includes('webgpu')) await addPage('webgpu', 'webgpu', 1, 'webgpu');
  if (!targets.includes('wasm')) {
    return { places, machine: describeMachine([`webgpu: ${version}, ${adapter ?? 'no adapter'}`]) };
  }
  await addPage('wasm', 'wasm', 1);
  places.set('wasm-node', { target: 'wasm', runtime: deviceRuntime('wasm') });
  if (processors > 1) await addPage('wasm-threads', 'wasm', processors);
  if (adapter !== undefined && !places.has('webgpu')) await addPage('webgpu', 'webgpu', 1);
  const seen = [`wasm: ${version}, 1 thread`, 'wasm-node: 1 thread', `wasm-threads: ${processors}`];
  return { places, machine: describeMachine([...seen, `webgpu: ${adapter ?? 'no adapter'}`]) };
}

/** The browser, or why there is none. Playwright is for development and need not be installed. */
async function startBrowser(path: string | undefined): Promise<Chromium | string> {
  if (path === undefined) return 'no browser was named';
  try {
    const { openChromium } = await import('../runtimes/chromium.ts');
    return await openChromium(path);
  } catch (error) {
    return messageOf(error);
  }
}

function describeMachine(seen: readonly string[]): string {
  const [cpu] = cpus();
  return [
    `${cpus().length} x ${cpu?.model ?? 'unknown CPU'}`,
    `Node ${process.versions.node}`,
    `onnxruntime-node ${ortNode.env.versions.node}`,
    `onnxruntime-web ${ortWeb.env.versions.web}`,
    'server: 1 thread',
    ...seen,
  ].join(', ');
}
