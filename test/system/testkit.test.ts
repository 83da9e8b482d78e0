import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { createTestkit } from 'tandem/testkit';
import { expect, test } from 'vitest';

const dist = (path: string) => readFile(fileURLToPath(new URL(`../../dist/${path}`, import.meta.url)), 'utf8');

/** What is said by each part of the kit, and by nothing else. */
const MARKS = {
  'client/testkit/testkit.js': 'gateway.test',
  'client/testkit/fake-clock.js': 'did not settle within',
  'client/testkit/answer.js': "the test's answer",
  'client/testkit/fake-cloud.js': 'the test said so',
  'client/testkit/fake-link.js': 'the link was cut',
  'client/testkit/fake-device.js': 'out of memory',
  'server/connection.js': 'a second hello',
};

test('the built kit runs, and nothing of it or of the gateway is in what pages load', async () => {
  const kit = createTestkit({ answer: { y: { dtype: 'float32', shape: [1, 4], data: new Float32Array(4) } } });
  const client = await kit.connect();
  await kit.run(client.prepare());
  expect(client.state).toMatchObject({ link: 'open', device: 'available' });
  await client.close();
  for (const [path, mark] of Object.entries(MARKS)) expect(await dist(path)).toContain(mark);
  for (const bundle of ['client', 'worker', 'worker-accelerated']) {
    const code = await dist(`client/bundled/${bundle}.js`);
    expect(Object.values(MARKS).filter((mark) => code.includes(mark))).toEqual([]);
  }
});
