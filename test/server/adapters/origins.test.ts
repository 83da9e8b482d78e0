import type { IncomingMessage } from 'node:http';
import { expect, test } from 'vitest';
import { strangers } from '../../../server/adapters/origins.ts';

test('of pages that may not ask the operator hears once each, and not of others', () => {
  const told: string[] = [];
  const note = strangers(['https://app.example'], (line) => told.push(line));
  const from = (origin: string | undefined) => note({ headers: { origin, host: 'gateway:8080' } } as IncomingMessage);
  for (const origin of [undefined, 'https://app.example', 'http://gateway:8080']) from(origin);
  expect(told).toEqual([]);
  for (let i = 0; i < 3; i++) from('http://localhost:5173');
  from('evil\n{"log":"line"}');
  expect(told).toEqual([
    'pages of "http://localhost:5173" may not ask: the configuration\'s origins do not list it, and Host is "gateway:8080"',
    expect.stringContaining(String.raw`"evil\n{`),
  ]);
  for (let i = 0; i < 1000; i++) from(`http://${i}.example`);
  expect(told).toHaveLength(100);
});
