/**
 * Accuracy against bytes of everything that can be sent: every tier of every boundary, and beside it "just send the picture",
 * as JPEG and WebP of several qualities. The head is in full precision: what is asked here is what sending costs.
 *
 * `node dist/bench/rate-curve.js [lines] [svg]`
 */
import { writeFileSync } from 'node:fs';
import * as ort from 'onnxruntime-node';
import sharp from 'sharp';
import { measureAccuracy } from '../compiler/measure/accuracy.ts';
import { loadRecipe } from '../models/index.ts';
import { nodeRuntime } from '../runtimes/onnxruntime-node.ts';
import { sharpPictures } from '../runtimes/pictures-sharp.ts';
import { boundaryCodec } from '../shared/codec/boundary.ts';
import { floatChain } from './float-chain.ts';
import { type RateLine, ratePlot } from './rate-plot.ts';
import { markdownTable } from './stats.ts';

const SAMPLES = Number(process.argv[2] ?? 300);
const SVG = process.argv[3];
/** Other lines than the committed measurements have, and than tiers were chosen on. */
const SEED = 8;
const CALIBRATION_SAMPLES = 64;
const QUALITIES = { jpeg: [10, 30, 50, 70, 85, 95], webp: [1, 10, 30, 50, 80, 95] } as const;

const committed = await loadRecipe('ocr-line');
const pictures = (['jpeg', 'webp'] as const).flatMap((format) =>
  QUALITIES[format].map((quality) => ({ format, quality })),
);
const recipe = { ...committed, pictures };
const { plan, sessions } = await floatChain(recipe, nodeRuntime(ort, { threads: 1 }), CALIBRATION_SAMPLES);
const { accuracy } = await measureAccuracy({
  ...{ plan, recipe, server: sessions, devices: new Map([['device', sessions]]) },
  ...{ codec: boundaryCodec(plan, sharpPictures(sharp)), split: 'test', samples: SAMPLES, seed: SEED },
  now: () => performance.now(),
  progress: ({ done, total }) => {
    if (process.stderr.isTTY) process.stderr.write(`\rrate curve: ${done} of ${total} lines `);
  },
});
const float = accuracy.find(({ target }) => target === 'server')?.metrics ?? {};
const sent = accuracy.filter(({ target, tier }) => target === 'device' && tier !== null);
const named = (k: number, prefix: string): RateLine['points'] =>
  sent
    .filter((row) => row.k === k && row.tier?.startsWith(prefix))
    .map(({ tier, bytesMean, metrics }) => ({
      ...{ tier: tier as string, bytes: bytesMean },
      accuracy: metrics['exactMatch'] ?? Number.NaN,
    }));
const depths = plan.boundaries.slice(1, -1).map((_, i) => i + 1);
const lines: RateLine[] = [
  { name: 'the line as JPEG', points: named(0, 'jpeg'), style: 'dashed' as const },
  { name: 'the line as WebP', points: named(0, 'webp'), style: 'dashed' as const },
  ...depths.map((k) => ({ name: `k = ${k}`, points: named(k, 'q'), style: 'solid' as const })),
  ...depths
    .map((k) => ({ name: `k = ${k}, bottleneck`, points: named(k, 'p'), style: 'points' as const }))
    .filter(({ points }) => points.length > 0),
];
const title = `Exact match against bytes a line, ${SAMPLES} lines`;
if (SVG) writeFileSync(SVG, ratePlot(title, lines, float['exactMatch'] ?? Number.NaN));

const percent = (value: number | undefined, digits: number) => ((value ?? Number.NaN) * 100).toFixed(digits);
const row = (k: string, tier: string, bytes: string, p95: string, metrics: Readonly<Record<string, number>>) => [
  ...[k, tier, bytes, p95, percent(metrics['exactMatch'], 1), percent(metrics['cer'], 2)],
];
process.stdout.write(
  `${markdownTable(
    ['k', 'tier', 'bytes, mean', 'p95', 'exact %', 'CER %'],
    [
      row('', 'nothing sent', '0', '0', float),
      ...sent.map(({ k, tier, bytesMean, bytesP95, metrics }) =>
        row(String(k), tier ?? '', bytesMean.toFixed(0), String(bytesP95), metrics),
      ),
    ],
  )}\n`,
);
const tierBytes = plan.boundaries.map(({ tiers }) => JSON.stringify(tiers).length);
process.stdout.write(
  `\nBytes of the tiers in the plan, boundaries 0 to ${tierBytes.length - 1}: ${tierBytes.join(', ')}\n`,
);
process.exit();
