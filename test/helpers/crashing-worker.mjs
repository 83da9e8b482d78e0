/** Stands in for task-worker: answers tasks, dies on those of tier `crash` and hangs on `stuck`. A plan called `broken` kills it at start. */
import { parentPort, workerData } from 'node:worker_threads';

if (workerData.bundles.some(({ plan }) => plan.name === 'broken')) throw new Error('cannot load broken');
const seen = [];
parentPort.on('message', (task) => {
  seen.push(task.tier);
  if (task.tier === 'crash') throw new Error('out of memory');
  while (task.tier === 'stuck');
  const lengths = task.payload.parts.map(({ byteLength, buffer }) => [byteLength, buffer.byteLength]);
  if (task.tier === 'refuse') parentPort.postMessage({ type: 'failed', code: 'BAD_PAYLOAD', message: 'no' });
  else parentPort.postMessage({ type: 'done', result: { outputs: {}, decodeMs: 1, computeMs: 2, lengths, seen } });
});
parentPort.postMessage({ type: 'ready' });
