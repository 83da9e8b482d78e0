/** One thread of `parallelRuntime`: sessions by number, run one call after the other. */
import { parentPort } from 'node:worker_threads';
import * as ort from 'onnxruntime-node';
import { asTandemError, type ErrorCode, TandemError } from '../shared/errors.ts';
import type { Session } from '../shared/runtime.ts';
import type { Tensors } from '../shared/tensor.ts';
import { nodeRuntime } from './onnxruntime-node.ts';

export type ThreadCall =
  | { readonly type: 'load'; readonly session: number; readonly model: Uint8Array }
  | { readonly type: 'run'; readonly session: number; readonly feeds: Tensors }
  | { readonly type: 'release'; readonly session: number };

export type ThreadRequest = ThreadCall & { readonly id: number };

export type ThreadReply =
  | { readonly id: number; readonly value: unknown }
  | { readonly id: number; readonly error: { readonly code: ErrorCode; readonly message: string } };

/** What a loaded session tells of itself. */
export type ThreadSession = Pick<Session, 'inputNames' | 'outputNames' | 'outputTypes'>;

const port = parentPort;
if (!port) throw new Error('node-thread.ts runs as a worker thread');
const runtime = nodeRuntime(ort, { threads: 1 });
const sessions = new Map<number, Session>();

port.on('message', async (request: ThreadRequest) => {
  const { id } = request;
  try {
    const value = await perform(request);
    port.postMessage({ id, value } satisfies ThreadReply);
  } catch (error) {
    const { code, message } = asTandemError(error, 'INTERNAL', 'a thread failed');
    port.postMessage({ id, error: { code, message } } satisfies ThreadReply);
  }
});

async function perform(call: ThreadCall): Promise<unknown> {
  if (call.type === 'load') {
    const session = await runtime.load(call.model);
    sessions.set(call.session, session);
    const { inputNames, outputNames, outputTypes } = session;
    return { inputNames, outputNames, ...(outputTypes && { outputTypes }) } satisfies ThreadSession;
  }
  const session = sessions.get(call.session);
  // The thread that had it has ended, and this one took its place.
  if (!session && call.type === 'run') throw new TandemError('INTERNAL', 'a thread has lost its models');
  if (call.type === 'run') return session?.run(call.feeds);
  sessions.delete(call.session);
  return session?.release();
}
