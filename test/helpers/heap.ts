/** What a page and its worker hold in memory, as Chromium's own tools say. */
import { readFile } from 'node:fs/promises';
import type { Browser, CDPSession } from 'playwright-core';

/** Bytes on a page's heap of what a program makes: objects, strings, buffers, nodes of the document. The engine's compiled code is not among them. */
export async function heldBytes(session: CDPSession): Promise<number> {
  const chunks: string[] = [];
  const listener = ({ chunk }: { chunk: string }) => chunks.push(chunk);
  session.on('HeapProfiler.addHeapSnapshotChunk', listener);
  await session.send('HeapProfiler.takeHeapSnapshot', { reportProgress: false });
  session.off('HeapProfiler.addHeapSnapshotChunk', listener);
  const { snapshot, nodes, strings } = JSON.parse(chunks.join('')) as HeapSnapshot;
  const { node_fields: fields, node_types: types } = snapshot.meta;
  const [type, name, size] = ['type', 'name', 'self_size'].map((field) => fields.indexOf(field)) as [
    number,
    number,
    number,
  ];
  let bytes = 0;
  for (let at = 0; at < nodes.length; at += fields.length) {
    const isCode =
      types[0][nodes[at + type] as number] === 'code' ||
      OF_CODE.includes(strings[nodes[at + name] as number] as string);
    if (!isCode) bytes += nodes[at + size] as number;
  }
  return bytes;
}

/** What compiled code hangs on, listed apart from it. */
const OF_CODE = ['WeakArrayList', 'ProtectedFixedArray', 'SharedFunctionInfoWrapper'].map((name) => `system / ${name}`);

interface HeapSnapshot {
  readonly snapshot: {
    readonly meta: { readonly node_fields: readonly string[]; readonly node_types: [readonly string[]] };
  };
  readonly nodes: readonly number[];
  readonly strings: readonly string[];
}

/** Asks a page's worker, through the page, for the bytes that its heap and its WebAssembly memory take. */
export async function usageOfWorker(session: CDPSession): Promise<() => Promise<number>> {
  const attached = new Promise<string>((resolve) => {
    session.on('Target.attachedToTarget', ({ sessionId, targetInfo }) => {
      if (targetInfo.type === 'worker') resolve(sessionId);
    });
  });
  await session.send('Target.setAutoAttach', { autoAttach: true, waitForDebuggerOnStart: false, flatten: false });
  const sessionId = await attached;
  let lastId = 0;
  const ask = (method: string) =>
    new Promise<Record<string, number>>((resolve) => {
      const id = ++lastId;
      const listener = ({ message }: { message: string }) => {
        const reply = JSON.parse(message) as { id?: number; result: Record<string, number> };
        if (reply.id !== id) return;
        session.off('Target.receivedMessageFromTarget', listener);
        resolve(reply.result);
      };
      session.on('Target.receivedMessageFromTarget', listener);
      void session.send('Target.sendMessageToTarget', { sessionId, message: JSON.stringify({ id, method }) });
    });
  return async () => {
    await ask('HeapProfiler.collectGarbage');
    const { usedSize = 0, backingStorageSize = 0 } = await ask('Runtime.getHeapUsage');
    return usedSize + backingStorageSize;
  };
}

/** Bytes that the processes of a browser's pages have of the machine's memory for themselves. */
export async function privateBytes(browser: Browser): Promise<number> {
  const session = await browser.newBrowserCDPSession();
  const { processInfo } = await session.send('SystemInfo.getProcessInfo');
  await session.detach();
  let kilobytes = 0;
  for (const { id } of processInfo.filter(({ type }) => type === 'renderer')) {
    // One may have ended meanwhile.
    const status = await readFile(`/proc/${id}/status`, 'utf8').catch(() => '');
    kilobytes += Number(/^RssAnon:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0);
  }
  return kilobytes * 1024;
}
