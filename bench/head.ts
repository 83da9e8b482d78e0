/**
 * The device's segments in wasm, one thread: full precision against compressed, in real Chromium. Each form is loaded
 * into a browser of its own, in turn, order turned round.
 */

import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import { dirname, join } from 'node:path';
import { chromium } from 'playwright-core';
import { median } from '../compiler/measure/fit.ts';
import type { Plan } from '../shared/plan.ts';
import { shapeAt } from '../shared/size.ts';
import { BUNDLE_DIR, demoBundle } from './bundle.ts';

const ROUNDS = Number(process.argv[2] ?? 3);
const CHROMIUM = process.env['CHROMIUM_PATH'] ?? '/usr/bin/chromium';
const FORMS = ['float', 'compressed'] as const;
type Form = (typeof FORMS)[number];

const PAGE = `<!doctype html><script type="module">
  import * as ort from '/ort/ort.wasm.bundle.min.mjs';
  globalThis.ort = ort;
</script>`;

/** What is handed to the page: segments with the shape of their input at the typical size. */
interface Job {
  readonly segments: readonly { readonly url: string; readonly input: string; readonly shape: readonly number[] }[];
  readonly warmUpRuns: number;
  readonly runs: number;
}

const { plan } = await demoBundle();
const { port, close } = await serveFiles();
const medians: Record<Form, number[][]> = { float: [], compressed: [] };
const order = [...FORMS];
for (let round = 0; round < ROUNDS; round++) {
  for (const form of order.reverse()) medians[form].push(await timeInChromium(form));
}
close();
const perSegment = plan.segments.map((_, i) => {
  const of = (form: Form) => median(medians[form].map((round) => round[i] ?? Number.NaN));
  return { segment: i + 1, floatMs: of('float'), compressedMs: of('compressed') };
});
process.stdout.write(`${JSON.stringify({ width: plan.size.typical, rounds: ROUNDS, perSegment })}\n`);

/** Median milliseconds of each segment, in a fresh browser. */
async function timeInChromium(form: Form): Promise<number[]> {
  if (!existsSync(CHROMIUM)) throw new Error(`no Chromium at ${CHROMIUM}: set CHROMIUM_PATH`);
  const browser = await chromium.launch({ executablePath: CHROMIUM, args: ['--no-sandbox', '--disable-gpu'] });
  const page = await browser.newPage();
  await page.goto(`http://127.0.0.1:${port}/`);
  const times = await page.evaluate(runInPage, jobOf(plan, form));
  await browser.close();
  return times;
}

function jobOf({ segments, boundaries, size }: Plan, form: Form): Job {
  return {
    segments: segments.map(({ server, targets }, k) => {
      const [spec] = boundaries[k]?.tensors ?? [];
      if (!spec) throw new Error(`boundary ${k} has no tensor`);
      const file = form === 'float' ? server.file : targets['wasm']?.file;
      return { url: `/bundle/${file}`, input: spec.name, shape: shapeAt(spec, size.typical) };
    }),
    warmUpRuns: 25,
    runs: 25,
  };
}

/** Runs in the page, which knows nothing of this module. */
async function runInPage({ segments, warmUpRuns, runs }: Job): Promise<number[]> {
  const { ort } = globalThis as unknown as { ort: typeof import('onnxruntime-web') };
  ort.env.wasm.numThreads = 1;
  ort.env.wasm.wasmPaths = '/ort/';
  const medians: number[] = [];
  for (const { url: model, input, shape } of segments) {
    const session = await ort.InferenceSession.create(model);
    const data = Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => Math.sin(i));
    const times: number[] = [];
    for (let run = 0; run < warmUpRuns + runs; run++) {
      const began = performance.now();
      await session.run({ [input]: new ort.Tensor('float32', data, shape) });
      if (run >= warmUpRuns) times.push(performance.now() - began);
    }
    times.sort((a, b) => a - b);
    medians.push(times[Math.floor(times.length / 2)] ?? Number.NaN);
  }
  return medians;
}

async function serveFiles(): Promise<{ port: number; close: () => void }> {
  const ort = dirname(createRequire(import.meta.url).resolve('onnxruntime-web'));
  const types: Record<string, string> = { mjs: 'text/javascript', wasm: 'application/wasm' };
  const server = createServer(async ({ url = '/' }, response) => {
    const [, folder, file = ''] = url.split('/');
    const path = folder === 'ort' ? join(ort, file) : folder === 'bundle' ? join(BUNDLE_DIR, file) : null;
    const body = path === null ? PAGE : await readFile(path).catch(() => null);
    if (body === null) return response.writeHead(404).end();
    return response.writeHead(200, { 'Content-Type': types[file.split('.').at(-1) ?? ''] ?? 'text/html' }).end(body);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { port: (server.address() as AddressInfo).port, close: () => server.close() };
}
