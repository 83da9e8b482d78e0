import * as ortNode from 'onnxruntime-node';
import * as ortWeb from 'onnxruntime-web';
import { type Client, connect, type InferResult } from 'tandem/client';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { decodeCtc, parseCharset } from '../../models/ocr-line/ctc.ts';
import { cleanLines } from '../helpers/clean-lines.ts';
import { type ServerProcess, startServer } from '../helpers/processes.ts';

const POLICY = {
  aliases: { features: 'p2o.AveragePool.1' },
  labels: { public: 'input', personal: 'features', secret: 'local' },
};

let server: ServerProcess;
beforeAll(async () => {
  server = await startServer();
});
afterAll(() => server.kill());

async function connected(url: string, ort: Parameters<typeof connect>[0]['ort']): Promise<Client> {
  const client = await connect({ url, model: 'ocr-line', policy: POLICY, ort });
  if (client.state.segmentsReady < client.state.segments || client.state.link !== 'open') {
    await new Promise<void>((resolve) => {
      client.subscribe(({ segmentsReady, segments, link }) => {
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
  const client = await connected(own.url, ortNode);
  const charset = await charsetOf(client);
  const [line] = cleanLines(1);
  // Stopped, it takes the request and never answers; killed, the connection breaks under it.
  own.child.kill('SIGSTOP');
  const pending = client.infer(line?.picture as never, { label: 'personal', force: { k: 3 } });
  await new Promise((resolve) => setTimeout(resolve, 150));
  await own.kill();
  const result = await pending;
  expect(read(charset, result)).toBe(line?.text);
  expect(result.route).toMatchObject({ k: 5, tier: null });
  expect(result.route.fallback).not.toBeNull();
  expect(result.route.bytesUp).toBeGreaterThan(0);
  await client.close();
});
