/**
 * What each boundary that might be deployed costs: the model cut at all of them at once, every piece timed on the device's
 * runtime and on the server's, and each boundary encoded on a few samples.
 */
import { boundaryTensors } from '../../shared/chain.ts';
import { activationCodec } from '../../shared/codec/activation.ts';
import type { PictureCodec } from '../../shared/codec/picture.ts';
import { PLAN_VERSION, type Plan } from '../../shared/plan.ts';
import type { Runtime, Session } from '../../shared/runtime.ts';
import { costAt } from '../../shared/size.ts';
import type { Tensors } from '../../shared/tensor.ts';
import { calibrateTiers } from '../compress/calibrate.ts';
import { type Behind, type Boundary, legalBoundaries } from '../cut/boundaries.ts';
import { allBoundaries, boundarySpecs } from '../cut/boundary-specs.ts';
import type { Candidate, Ends } from '../cut/choose.ts';
import { flowOf } from '../cut/flow.ts';
import { buildChain, type Chain } from '../cut/segments.ts';
import { bytesOf } from '../graph/cost.ts';
import type { Model } from '../graph/graph.ts';
import { observeTypes } from '../graph/observe.ts';
import type { Progress } from '../progress.ts';
import type { ModelRecipe } from '../recipe.ts';
import { inputCrossing, wholeOf } from '../samples/crossing.ts';
import { meanOf } from './fit.ts';
import { measureTime } from './time.ts';

export interface CandidatesRequest {
  readonly model: Model;
  readonly recipe: ModelRecipe;
  readonly server: Runtime;
  readonly device: Runtime;
  readonly pictures: PictureCodec;
  readonly tensorsMax: number;
  readonly now: () => number;
  readonly progress: Progress;
}

export interface MeasuredCandidates extends Ends {
  readonly candidates: readonly Candidate[];
}

/** Pieces finer than these are lost in the noise of timing them, and make the chain slower than it will be. */
const CANDIDATES_MAX = 16;
const SAMPLES = 6;
/** What is usually sent: the fewest bits that calibration offers. */
const BITS = 4;

export async function measureCandidates(request: CandidatesRequest): Promise<MeasuredCandidates> {
  const { model, recipe, server, device, now, progress } = request;
  const types = await observeTypes(model, server, recipe.noise(recipe.size.typical));
  const rawBytes = ({ tensors }: Boundary) => tensors.reduce((sum, name) => sum + (bytesOf(types, name) ?? 0), 0);
  const { legal } = legalBoundaries(flowOf(model.graph), request.tensorsMax);
  const nested = spread(nestedOf(legal), CANDIDATES_MAX, rawBytes);
  const chain = buildChain(
    model,
    nested.map(({ tensors }) => tensors),
  );
  const plan = timingPlan(recipe, chain);
  const load = (runtime: Runtime) => Promise.all(chain.segments.map(({ float }) => runtime.load(float)));
  const places = new Map<string, readonly Session[]>([
    ['server', await load(server)],
    ['device', await load(device)],
  ]);
  const { typical } = recipe.size;
  const times = await measureTime({ plan, places, sizes: [typical], input: recipe.noise, now, progress });
  const bytes = await encodedBytes(request, plan, places.get('server') as readonly Session[]);
  await Promise.all([...places.values()].flat().map((session) => session.release()));
  const timesAt = (place: string) => (times[place] ?? []).map((cost) => costAt(cost, typical));
  const [onServer, onDevice] = [timesAt('server'), timesAt('device')];
  const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);
  const at = (k: number, tensors: readonly string[]): Candidate => ({
    ...{ tensors, bytes: bytes[k] as number },
    headMs: sum(onDevice.slice(0, k)),
    tailMs: sum(onServer.slice(k)),
  });
  return {
    candidates: nested.map(({ tensors }, i) => at(i + 1, tensors)),
    remote: at(0, chain.boundaries[0] ?? []),
    localMs: sum(onDevice),
  };
}

/** Of boundaries from shallow to deep, those each of which runs before the next: only those can be cut at together. */
function nestedOf(boundaries: readonly Boundary[]): Boundary[] {
  const chain: Boundary[] = [];
  let behind: Behind | undefined;
  for (const boundary of boundaries) {
    const next = boundary.behind();
    if (behind && !next.first.every(behind.has)) continue;
    chain.push(boundary);
    behind = next;
  }
  return chain;
}

/** As many as `count`, evenly over the depth, of each part the one that is smallest before it is encoded. */
function spread(boundaries: readonly Boundary[], count: number, rawBytes: (boundary: Boundary) => number): Boundary[] {
  if (boundaries.length <= count) return [...boundaries];
  const last = boundaries.at(-1)?.nodesBefore ?? 1;
  const picked = new Map<number, Boundary>();
  for (const boundary of boundaries) {
    const bucket = Math.min(count - 1, Math.floor((boundary.nodesBefore / (last + 1)) * count));
    const known = picked.get(bucket);
    if (!known || rawBytes(boundary) < rawBytes(known)) picked.set(bucket, boundary);
  }
  return [...picked.values()];
}

/** Enough of a plan to run the chain by. */
function timingPlan(recipe: ModelRecipe, chain: Chain): Plan {
  const file = { file: 'none', sha256: '0'.repeat(64), bytes: 1 };
  return {
    ...{ version: PLAN_VERSION, id: '', name: recipe.name, size: recipe.size, preprocess: recipe.preprocess },
    model: { source: recipe.source, sha256: file.sha256, bytes: 1, fixed: {} },
    boundaries: chain.boundaries.map((names) => ({
      tensors: names.map((name) => ({ name, dtype: 'float32' as const, shape: [] })),
      tiers: [],
    })),
    segments: chain.segments.map(({ inputs, outputs }) => ({
      inputs: [...inputs],
      outputs: [...outputs],
      server: file,
      targets: {},
    })),
    ...{ assets: {}, measured: null },
  };
}

/** Mean bytes of boundaries 0..K-1 at few bits. */
async function encodedBytes(
  { recipe, pictures, progress }: CandidatesRequest,
  plan: Plan,
  server: readonly Session[],
): Promise<number[]> {
  const specs = await boundarySpecs(plan, server, recipe.noise);
  const known: Plan = { ...plan, boundaries: specs.map((tensors) => ({ tensors, tiers: [] })) };
  const samples: Tensors[][] = [];
  const pictureSizes: number[] = [];
  const [asPicture] = recipe.pictures;
  for await (const { input } of recipe.samples('calibration', SAMPLES, 1, wholeOf(known, server))) {
    progress({ stage: 'bytes of each boundary', done: samples.length, total: SAMPLES });
    const { tensors, picture } = inputCrossing(known, input);
    samples.push(await allBoundaries(known, server, tensors));
    const coded = picture && asPicture && (await pictures.encode(picture, asPicture.format, asPicture.quality));
    if (coded) pictureSizes.push(coded.byteLength);
  }
  const bytes: number[] = pictureSizes.length > 0 ? [meanOf(pictureSizes)] : [];
  for (let k = bytes.length; k < specs.length - 1; k++) {
    const tensorsOf = (all: Tensors[]) => boundaryTensors(known, k, all[k] as Tensors);
    const stream = async function* () {
      for (const all of samples) yield tensorsOf(all);
    };
    const [tier] = await calibrateTiers(specs[k] ?? [], [BITS], stream);
    if (!tier) throw new Error('calibration gave no tier');
    const codec = activationCodec(tier, specs[k] ?? []);
    const sizes = samples.map((all) => codec.encode(tensorsOf(all)).reduce((sum, part) => sum + part.byteLength, 0));
    bytes.push(meanOf(sizes));
  }
  return bytes;
}
