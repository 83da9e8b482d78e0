/** Two gateways behind one address, as an operator runs and replaces them. */
import { once } from 'node:events';
import { type AddressInfo, createConnection, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import * as ort from 'onnxruntime-node';
import { connect } from 'tandem/client';
import { compile } from 'tandem/compiler';
import { expect, test } from 'vitest';
import { seededRandom } from '../../shared/random.ts';
import { type ServerProcess, startServer } from '../helpers/processes.ts';
import { tinyModel, tinyPicture } from '../helpers/tiny-model.ts';

const policy = { labels: { public: 'input' } };
const CLIENTS = 8;
/** Between two answers, and for which an instance serves before the next one is replaced. */
const PAUSE_MS = 5;
const SERVES_MS = 3000;

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** Hands each connection to the next of the backends that takes it; they may be exchanged. */
async function balancer(backends: readonly string[]) {
  let next = 0;
  const sockets = new Set<Socket>();
  const server = createServer((near) => {
    sockets.add(near);
    near.on('error', () => {}).pause();
    const attempt = (left: number) => {
      const { hostname, port } = new URL(backends[next++ % backends.length] as string);
      const far = createConnection(Number(port), hostname);
      let isConnected = false;
      far.once('connect', () => {
        isConnected = true;
        near.pipe(far).pipe(near);
        near.once('close', () => far.destroy());
        far.once('close', () => near.destroy());
      });
      far.on('error', () => {
        if (isConnected) return;
        if (left > 0) attempt(left - 1);
        else near.destroy();
      });
    };
    attempt(backends.length);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close() {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}

test('are replaced one after the other by those of another plan, under load, and no request is lost', async () => {
  const models = await Promise.all([1, 2].map((seed) => tinyModel(seed)));
  const bundles: string[] = [];
  const plans: string[] = [];
  for (const { recipe, dir } of models) {
    const out = join(dir, 'bundle');
    const { plan } = await compile(recipe, out, { samples: 3, targets: ['wasm'] });
    bundles.push(out);
    plans.push(plan.id);
  }
  const start = (i: number) =>
    startServer({ bundles: [bundles[i]], policy, credentials: { anonymous: { labels: ['public'] } } });
  const servers: ServerProcess[] = [await start(0), await start(0)];
  const backends = servers.map(({ url }) => url);
  const { url, close } = await balancer(backends);
  const options = { url, model: 'tiny', policy, ort, download: false, accuracyDropMax: 100 };
  const clients = await Promise.all(Array.from({ length: CLIENTS }, () => connect(options)));
  const random = seededRandom(7);
  const answered = new Set<string>();
  const failures: unknown[] = [];
  let isOver = false;
  const asking = clients.map(async (client) => {
    while (!isOver) {
      try {
        await client.infer(tinyPicture(random), { label: 'public', deadlineMs: 20_000 });
        answered.add(client.plan.id);
      } catch (error) {
        failures.push(error);
      }
      await pause(PAUSE_MS);
    }
  });
  await pause(SERVES_MS / 10);
  for (const [i, old] of [...servers].entries()) {
    old.child.kill('SIGTERM');
    expect(await old.exited).toBe(0);
    const fresh = await start(1);
    servers[i] = fresh;
    backends[i] = fresh.url;
    await pause(SERVES_MS);
  }
  isOver = true;
  await Promise.all(asking);
  expect(failures).toEqual([]);
  expect(answered).toEqual(new Set(plans));
  expect(clients.map(({ plan }) => plan.id)).toEqual(clients.map(() => plans[1]));
  for (const client of clients) await client.close();
  close();
  for (const { kill } of servers) await kill();
  for (const { remove } of models) await remove();
});
