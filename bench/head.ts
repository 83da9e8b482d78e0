/**
 * The device's segments in wasm, one thread: full precision against compressed, in real Chromium. Each form is loaded
 * into a browser of its own, in turn, order turned round.
 */
import { findBrowser } from '../cli/browser.ts';
import { median } from '../compiler/measure/fit.ts';
import { measureTime } from '../compiler/measure/time.ts';
import { openChromium } from '../runtimes/chromium.ts';
import { costAt } from '../shared/size.ts';
import { bundleFile, demoBundle } from './bundle.ts';

const ROUNDS = Number(process.argv[2] ?? 3);
const FORMS = ['float', 'compressed'] as const;
type Form = (typeof FORMS)[number];

const { plan, recipe } = await demoBundle();
const { typical } = plan.size;
const path = findBrowser(undefined);
if (path === undefined) throw new Error('no Chromium here: CHROMIUM_PATH names one');
const medians: Record<Form, number[][]> = { float: [], compressed: [] };
const order = [...FORMS];
for (let round = 0; round < ROUNDS; round++) {
  for (const form of order.reverse()) medians[form].push(await timeInChromium(form, path));
}
const perSegment = plan.segments.map((_, i) => {
  const of = (form: Form) => median(medians[form].map((round) => round[i] ?? Number.NaN));
  return { segment: i + 1, floatMs: of('float'), compressedMs: of('compressed') };
});
process.stdout.write(`${JSON.stringify({ width: typical, rounds: ROUNDS, perSegment })}\n`);

/** Median milliseconds of each segment, in a fresh browser. */
async function timeInChromium(form: Form, browserPath: string): Promise<number[]> {
  const browser = await openChromium(browserPath);
  const runtime = await browser.open({ provider: 'wasm', threads: 1 });
  const files = plan.segments.map(({ server, targets }) => (form === 'float' ? server : targets['wasm'])?.file ?? '');
  const sessions = await Promise.all(files.map(async (file) => runtime.load(await bundleFile(file))));
  const times = await measureTime({
    ...{ places: new Map([[form, { plan, sessions }]]), sizes: [typical], input: recipe.noise },
    ...{ now: () => performance.now(), progress: () => {} },
  });
  await browser.close();
  return (times[form] ?? []).map((cost) => costAt(cost, typical));
}
