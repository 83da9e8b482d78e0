import * as ortNode from 'onnxruntime-node';
import * as ortWeb from 'onnxruntime-web';
import { availability, type Client, connect, type InferResult, type ReceiptDetail, verifyReceipt } from 'tandem/client';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { WebSocket as NodeWebSocket } from 'ws';
import { connect as connectPortable } from '../../client/portable.ts';
import { decodeCtc, parseCharset } from '../../models/ocr-line/ctc.ts';
import { nodeRuntime } from '../../runtimes/onnxruntime-node.ts';
import { cleanLines } from '../helpers/clean-lines.ts';
import { run, type ServerProcess, startServer } from '../helpers/processes.ts';
import { relayTo } from '../helpers/relay.ts';

const POLICY = {
  aliases: { features: 'p2o.AveragePool.1' },
  labels: { public: 'input', personal: 'features', secret: 'local' },
};

/** Less than any boundary of these lines has; more than any other message. */
const BOUNDARY_BYTES_MIN = 1500;

let server: ServerProcess;
beforeAll(async () => {
  server = await startServer();
});
afterAll(() => server.kill());

async function connected(url: string, ort: Parameters<typeof connect>[0]['ort']): Promise<Client> {
  const client = await connect({ url, model: 'ocr-line', policy: POLICY, ort });
  if (client.state.segmentsReady < client.state.segments || client.state.link !== 'open') {
    await new Promise<void>((resolve) => {
      client.addEventListener('statechange', ({ detail: { segmentsReady, segments, link } }) => {
        if (segmentsReady === segments && link === 'open') resolve();
      });
    });
  }
  return client;
}

async function charsetOf(client: Client): Promise<string[]> {
  return parseCharset(new TextDecoder().decode(await client.asset('charset')));
}

function read(charset: readonly string[], { outputs }: InferResult): string {
  const numbers = (name: string) => Array.from<number | bigint, number>(outputs[name]?.data ?? [], Number);
  return decodeCtc(numbers('indices'), numbers('probabilities'), charset).text;
}

test('Node can be asked what a model would take, and says what `connect` lacks', async () => {
  const asked = { url: server.url, model: 'ocr-line' };
  const { bytesTotal, ...rest } = await availability(asked);
  expect(rest).toEqual({ status: 'downloadable', bytesKept: 0, reasons: ['6 of 6 files are not here yet'] });
  expect(bytesTotal).toBeGreaterThan(1_000_000);
  expect(await availability({ ...asked, model: 'nope' })).toMatchObject({ status: 'unavailable' });
  await expect(connect(asked as never)).rejects.toMatchObject({
    code: 'BAD_CONFIG',
    message: expect.stringContaining('needs `ort`'),
  });
});

describe.each([
  ['onnxruntime-node', ortNode],
  ['onnxruntime-web', ortWeb],
])('the Node client on %s', (_, ort) => {
  test('reads lines at every k, and says where they ran', async () => {
    const client = await connected(server.url, ort);
    const charset = await charsetOf(client);
    for (let k = 0; k <= client.plan.segments.length; k++) {
      for (const { text, picture } of cleanLines(3)) {
        const result = await client.infer(picture, { label: 'public', force: { k } });
        expect(read(charset, result)).toBe(text);
        expect(result.route).toMatchObject({ k, fallback: null });
      }
    }
    await client.close();
  });
});

test('a gateway killed with a request in its hands costs no answer: the device finishes', async () => {
  const own = await startServer();
  // Stopped, it takes the request and never answers; killed then, the connection breaks under it.
  const relay = await relayTo(own.url, (bytes) => {
    if (bytes > BOUNDARY_BYTES_MIN) void own.kill();
  });
  const client = await connected(relay.url, ortNode);
  const charset = await charsetOf(client);
  const [line] = cleanLines(1);
  own.child.kill('SIGSTOP');
  const result = await client.infer(line?.picture as never, { label: 'personal', force: { k: 3 } });
  expect(read(charset, result)).toBe(line?.text);
  expect(result.route).toMatchObject({ k: 5, tier: null, sent: [{ k: 3 }], fallback: { reason: 'failed' } });
  expect(result.route.bytesUp).toBeGreaterThan(BOUNDARY_BYTES_MIN);
  // That it has ended may be heard after the connection broke.
  await own.kill();
  expect(own.child.signalCode).toBe('SIGKILL');
  await client.close();
  relay.close();
});

test('what a gateway received it signs, also where its caller has left by then', async () => {
  const own = await startServer();
  const leaving = new AbortController();
  const relay = await relayTo(own.url, (bytes) => {
    if (bytes > BOUNDARY_BYTES_MIN) leaving.abort();
  });
  const client = await connected(relay.url, ortNode);
  const [line] = cleanLines(1);
  const { key } = (await (await fetch(`${own.url}/.well-known/tandem-receipt-key`)).json()) as { key: string };
  const told = new Promise<ReceiptDetail>((resolve) => {
    client.addEventListener('receipt', ({ detail }) => resolve(detail));
  });
  own.child.kill('SIGSTOP');
  const options = { label: 'personal', force: { k: 3 }, signal: leaving.signal };
  const error = await client.infer(line?.picture as never, options).catch((reason: unknown) => reason);
  expect([leaving.signal.aborted, error]).toEqual([true, leaving.signal.reason]);
  const [failed] = client.diagnostics().routes;
  expect(failed).toMatchObject({ error: 'ABORTED', sent: [{ k: 3, receipt: null }] });
  own.child.kill('SIGCONT');
  const { label, sent, receipt } = await told;
  expect(sent).toBe(failed?.sent[0]);
  expect(await verifyReceipt(receipt, key)).toMatchObject({ label, k: 3, boundary: ['p2o.AveragePool.1'] });
  await client.close();
  await own.kill();
  relay.close();
});

test('the portable client runs on any runtime, and sends what it can make', async () => {
  const client = await connectPortable({
    ...{ url: server.url, model: 'ocr-line', policy: POLICY },
    runtime: nodeRuntime(ortNode, { threads: 1 }),
    WebSocket: NodeWebSocket as unknown as typeof WebSocket,
  });
  await client.prepare();
  await expect.poll(() => client.state.link).toBe('open');
  const charset = await charsetOf(client);
  for (const k of [3, 5]) {
    const [line] = cleanLines(1);
    const result = await client.infer(line?.picture as never, { label: 'public', force: { k } });
    expect(read(charset, result)).toBe(line?.text);
    expect(result.route).toMatchObject({ k, fallback: null });
  }
  const decision = await client.explain(cleanLines(1)[0]?.picture as never, { label: 'public' });
  expect(decision.removed).toContainEqual(
    expect.objectContaining({ k: 0, reason: 'this device cannot make the format' }),
  );
  await client.close();
});

test('a process that closed its client ends, in the middle of a download too', async () => {
  const script = `
    import * as ort from 'onnxruntime-node';
    import { connect } from '${new URL('../../dist/client/node.js', import.meta.url)}';
    const client = await connect({ url: '${server.url}', model: 'ocr-line', ort });
    await client.close();`;
  const startMs = performance.now();
  const { code, stderr } = await run(process.execPath, ['--input-type=module', '-e', script]);
  expect([code, stderr]).toEqual([0, '']);
  expect(performance.now() - startMs).toBeLessThan(15_000);
});
