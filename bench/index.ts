/** `npm run bench`: the README's figures of running, each bench in a process of its own. */
import { spawnSync } from 'node:child_process';
import { cpus } from 'node:os';
import { fileURLToPath } from 'node:url';
import type { PlanAccuracy } from '../shared/plan.ts';
import { markdownTable, type spread } from './stats.ts';

type Spread = ReturnType<typeof spread>;

const out = (text: string) => process.stdout.write(`${text}\n`);

out(`${cpus().length} x ${cpus()[0]?.model}, Node ${process.versions.node}, ${process.platform} ${process.arch}\n`);
tail();
head();
boundaries();

function run<T>(name: string): T {
  process.stderr.write(`${name} ...\n`);
  const script = fileURLToPath(new URL(`./${name}.js`, import.meta.url));
  const { stdout, status } = spawnSync(process.execPath, [script], { stdio: ['ignore', 'pipe', 'inherit'] });
  if (status !== 0) throw new Error(`the bench ${name} failed`);
  return JSON.parse(stdout.toString()) as T;
}

function tail(): void {
  interface Row {
    k: number;
    tier: string;
    bytes: number;
    oneGraph: Spread;
    chain: Spread;
    gateway: Spread;
  }
  const { width, rows } = run<{ width: number; rows: Row[] }>('tail');
  out(`## The tail: bare onnxruntime and through the gateway on loopback (width ${width} px, 1 thread, ms)\n`);
  const ms = ({ p50, p95 }: Spread) => `${p50.toFixed(2)} / ${p95.toFixed(2)}`;
  out(
    markdownTable(
      [
        'k',
        'tier',
        'n',
        'one graph p50 / p95',
        'chain p50 / p95',
        'gateway p50 / p95',
        'gateway p50 over 1.25 x chain + 1 ms',
      ],
      rows.map(({ k, tier, oneGraph, chain, gateway }) => [
        String(k),
        tier,
        String(gateway.n),
        ms(oneGraph),
        ms(chain),
        ms(gateway),
        (gateway.p50 / (1.25 * chain.p50 + 1)).toFixed(2),
      ]),
    ),
  );
  out('');
}

function head(): void {
  interface Row {
    segment: number;
    floatMs: number;
    compressedMs: number;
  }
  const { width, rounds, perSegment } = run<{ width: number; rounds: number; perSegment: Row[] }>('head');
  out(
    `## The head in Chromium's wasm, 1 thread: float against compressed (width ${width} px, ${rounds} rounds, median ms)\n`,
  );
  const total = perSegment.reduce(
    (sum, row) => ({ floatMs: sum.floatMs + row.floatMs, compressedMs: sum.compressedMs + row.compressedMs }),
    { floatMs: 0, compressedMs: 0 },
  );
  const cells = (name: string, { floatMs, compressedMs }: Omit<Row, 'segment'>) => [
    name,
    floatMs.toFixed(1),
    compressedMs.toFixed(1),
    (compressedMs / floatMs).toFixed(2),
  ];
  out(
    markdownTable(
      ['segment', 'float', 'compressed', 'ratio'],
      [...perSegment.map((row) => cells(String(row.segment), row)), cells('all', total)],
    ),
  );
  out('');
}

function boundaries(): void {
  const { samples, seed, photoBytes, accuracy } = run<{
    samples: number;
    seed: number;
    photoBytes: number;
    accuracy: PlanAccuracy[];
  }>('boundary');
  const jpeg = accuracy.find(({ tier }) => tier?.startsWith('jpeg'))?.bytesMean ?? Number.NaN;
  out(`## What is sent, and what it costs in accuracy (${samples} lines, seed ${seed}, head compressed in wasm)\n`);
  out(
    markdownTable(
      ['head on', 'k', 'tier', 'bytes, mean', 'p95', 'x JPEG of the line', 'CER %', 'exact %'],
      accuracy.map(({ target, k, tier, bytesMean, bytesP95, metrics }) => [
        target,
        String(k),
        tier ?? 'nothing',
        bytesMean.toFixed(0),
        String(bytesP95),
        (bytesMean / jpeg).toFixed(2),
        ((metrics['cer'] ?? 0) * 100).toFixed(2),
        ((metrics['exactMatch'] ?? 0) * 100).toFixed(1),
      ]),
    ),
  );
  out(`\nThe photo of the line itself, at its own resolution, as JPEG 85: ${photoBytes.toFixed(0)} bytes on average.`);
}
