/**
 * A worker thread that runs tails: onnxruntime-node's run() blocks its thread, so sessions never live on the gateway's
 * event loop. One task at a time; a crash takes down this thread alone.
 */
import { parentPort, workerData } from 'node:worker_threads';
import * as ort from 'onnxruntime-node';
import sharp from 'sharp';
import { nodeRuntime } from '../../runtimes/onnxruntime-node.ts';
import { sharpPictures } from '../../runtimes/pictures-sharp.ts';
import { checkSession, runSegments } from '../../shared/chain.ts';
import { type BoundaryDecoder, boundaryDecoder } from '../../shared/codec/boundary.ts';
import { asTandemError, type ErrorCode } from '../../shared/errors.ts';
import { depthOf, type Plan } from '../../shared/plan.ts';
import type { Session } from '../../shared/runtime.ts';
import type { Task, TaskResult } from '../executor.ts';

/** What a worker is started with. */
export interface WorkerData {
  readonly bundles: readonly { readonly plan: Plan; readonly segments: readonly Uint8Array[] }[];
  readonly threads: number;
}

export type WorkerReply =
  | { readonly type: 'ready' }
  | { readonly type: 'done'; readonly result: TaskResult }
  | { readonly type: 'failed'; readonly code: ErrorCode; readonly message: string };

interface Loaded {
  readonly plan: Plan;
  readonly codec: BoundaryDecoder;
  readonly sessions: readonly Session[];
}

const port = parentPort;
if (!port) throw new Error('task-worker.ts runs as a worker thread');
const reply = (message: WorkerReply, transfer: ArrayBuffer[] = []) => port.postMessage(message, transfer);

const loaded = await loadAll(workerData as WorkerData);
port.on('message', async (task: Task) => {
  try {
    const result = await runTask(task);
    reply({ type: 'done', result }, buffersOf(result));
  } catch (error) {
    const { code, message } = asTandemError(error, 'INTERNAL', 'running the tail failed');
    reply({ type: 'failed', code, message });
  }
});
reply({ type: 'ready' });

async function loadAll({ bundles, threads }: WorkerData): Promise<ReadonlyMap<string, Loaded>> {
  const runtime = nodeRuntime(ort, { threads });
  const pictures = sharpPictures(sharp);
  const plans = new Map<string, Loaded>();
  for (const { plan, segments } of bundles) {
    const sessions = await Promise.all(segments.map((segment) => runtime.load(segment)));
    for (const [k, session] of sessions.entries()) checkSession(plan, session, k);
    plans.set(plan.id, { plan, codec: boundaryDecoder(plan, pictures), sessions });
  }
  return plans;
}

async function runTask({ planId, k, tier, payload }: Task): Promise<TaskResult> {
  const entry = loaded.get(planId);
  if (!entry) throw new Error(`the worker was started without the plan ${planId}`);
  const { plan, codec, sessions } = entry;
  const start = performance.now();
  const crossing = await codec.decode(k, tier, payload);
  const decoded = performance.now();
  const outputs = await runSegments(plan, sessions, { from: k, to: depthOf(plan), tensors: crossing.tensors });
  return { outputs, decodeMs: decoded - start, computeMs: performance.now() - decoded };
}

function buffersOf({ outputs }: TaskResult): ArrayBuffer[] {
  const buffers = Object.values(outputs).map(({ data }) => data.buffer);
  return [...new Set(buffers)].filter((buffer) => buffer instanceof ArrayBuffer);
}
