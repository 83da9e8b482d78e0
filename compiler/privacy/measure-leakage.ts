/**
 * What every boundary gives away of the input, at every tier and under noise: decoders are fitted on public samples as they
 * look once they are sent so, the best of them reconstructs inputs that it has not seen, and that is compared with the best
 * guess that does not look at what was sent (He, Zhang and Lee, "Model inversion attacks against collaborative inference",
 * ACSAC 2019, for black-box attacks; the gain over a guess is our own). Every attack is fitted anew for its defence.
 */
import { runSegment } from '../../shared/chain.ts';
import type { BoundaryCodec, Crossing } from '../../shared/codec/boundary.ts';
import type { Noise } from '../../shared/codec/noise.ts';
import { boundaryAt, type Plan, type PlanLeakage } from '../../shared/plan.ts';
import { seededRandom } from '../../shared/random.ts';
import type { Runtime, Session } from '../../shared/runtime.ts';
import type { Tensors } from '../../shared/tensor.ts';
import { meanOf } from '../measure/fit.ts';
import type { Progress } from '../progress.ts';
import type { ModelRecipe } from '../recipe.ts';
import { inputCrossing, wholeOf } from '../samples/crossing.ts';
import { severalAtATime } from '../several-at-a-time.ts';
import { type Attack, clamped, type Seen } from './attack.ts';
import { correlationOf } from './correlation.ts';
import { defencesOf } from './defences.ts';
import { measureDefended } from './defended-accuracy.ts';
import { type FeatureBasis, fitBasis } from './features.ts';
import { bestGuess, type Guess } from './guess.ts';
import { placedTensors } from './layout.ts';
import { type Matrices, newMatrices } from './matrices.ts';
import { type Network, newNetwork } from './network.ts';
import { defaultView, type InputView, type Plane } from './plane.ts';
import { type LeakagePicture, pictured } from './reconstructions.ts';
import { refinedAttacks } from './refined-attack.ts';
import { newResults, type Results, rowOf } from './results.ts';
import { newSender, type Sender } from './sender.ts';
import { bestSharpened } from './sharpened.ts';
import { psnr, ssim } from './similarity.ts';
import { readTask } from './task-reading.ts';
import { NETWORK_LAYERS, type Trained } from './trained-attack.ts';
import { wholeAttack } from './whole-attack.ts';

/** How much is spent on it. */
export interface LeakageBudget {
  readonly trainingSamples: number;
  /** That attacks are tried on. */
  readonly samples: number;
  readonly accuracySamples: number;
  /** Each with training samples, noise and random features of its own. */
  readonly seeds: number;
  /** Places of a boundary that one attack's equations are made of. */
  readonly places: number;
  readonly hidden: number;
  /** That a decoder of each boundary is trained in; 0 for closed forms alone. */
  readonly steps: number;
  readonly noises: readonly Noise[];
}

export interface LeakageRequest {
  readonly plan: Plan;
  readonly recipe: ModelRecipe;
  readonly codec: BoundaryCodec;
  /** The chain in full precision: what a compressed head sends is nearly the same. */
  readonly server: readonly Session[];
  /** The same, for many runs at once. */
  readonly tails: readonly Session[];
  /** For products of matrices, of two defences at once. */
  readonly runtime: Runtime;
  readonly budget: LeakageBudget;
  readonly seed: number;
  readonly progress: Progress;
}

export interface MeasuredLeakage {
  readonly leakage: PlanLeakage;
  readonly pictures: readonly LeakagePicture[];
}

/** One sample at the boundary that is being measured. */
export interface LeakageSample {
  readonly input: Crossing;
  readonly view: Plane;
  readonly truth: string;
  /** Boundary k's tensors, and outputs that are made by then. */
  readonly live: Tensors;
}

const RIDGES = [0.1, 1e-2, 1e-3] as const;
const KERNEL_RIDGES = [0.1, 1e-2, 1e-3, 1e-4] as const;
/** Of the training samples, the part that ridges and attacks are chosen by. */
const HELD_OUT_SHARE = 8;
/** Each holds all samples as they look when they are sent so. */
const AT_A_TIME = 2;
const STAGE = 'measuring leakage';

export async function measureLeakage(request: LeakageRequest): Promise<MeasuredLeakage> {
  const { plan, budget, seed, progress } = request;
  const matrices = await newMatrices(request.runtime);
  const network = await newNetwork(request.runtime, NETWORK_LAYERS);
  const sender = newSender(plan, request.codec);
  const defences = defencesOf(plan, budget.noises);
  const results = defences.map((own) => own.map(newResults));
  const total = budget.seeds * defences.reduce((sum, own) => sum + own.length, 0);
  const test = await loadSamples(request, 'test', budget.samples, seed, undefined);
  let blind: { readonly guess: Guess; readonly guessed: Guessed } | undefined;
  let done = 0;
  for (let s = 0; s < budget.seeds; s++) {
    const public_ = await loadSamples(request, 'calibration', budget.trainingSamples, seed + 101 + s, test.view);
    blind ??= blindGuess(public_.samples, test.samples);
    const own = { ...blind, matrices, network, sender, view: test.view };
    let [training, tested] = [public_.samples, test.samples];
    for (const [k, ofBoundary] of results.entries()) {
      if (k > 0)
        [training, tested] = [await advanced(request, k - 1, training), await advanced(request, k - 1, tested)];
      const basis = await basisAt(matrices, plan, k, training);
      const samples = { training, tested };
      const measure = (result: Results, trained: Trained | undefined) => {
        progress({ stage: STAGE, done: done++, total });
        return measureDefence({ ...request, ...own, basis, trained }, result, samples, s);
      };
      const [first, ...others] = ofBoundary as [Results, ...Results[]];
      const trained = await measure(first, undefined);
      await severalAtATime(others, (result) => measure(result, trained), AT_A_TIME);
    }
  }
  progress({ stage: STAGE, done: total, total });
  const flat = results.flat();
  const reading = await readTask(request, test.view, test.samples, (blind as { guess: Guess }).guess, flat);
  const defended = await measureDefended(
    request,
    sender,
    flat.map(({ defence }) => defence),
  );
  await matrices.release();
  await network.release();
  const rows = flat.map((result, i) => rowOf(result, reading.tasks[i] ?? {}, defended.rows[i]));
  return {
    leakage: {
      attack:
        'black-box: public samples and what is sent of them; of ridge regression on places, on random features of places, ' +
        'kernel ridge regression on the whole, and a network trained by gradient, the best on held-out samples, fitted anew for every defence',
      view: test.view.name,
      trainingSamples: budget.trainingSamples,
      ...{ samples: budget.samples, accuracySamples: budget.accuracySamples, seeds: budget.seeds },
      ...{ taskOriginal: reading.original, taskGuess: reading.guess, accuracy: defended.whole, rows },
    },
    pictures: pictured(test.samples, flat, plan),
  };
}

async function loadSamples(
  { plan, recipe, server }: LeakageRequest,
  split: 'calibration' | 'test',
  count: number,
  seed: number,
  known: InputView | undefined,
): Promise<{ samples: LeakageSample[]; view: InputView }> {
  const read: { input: Crossing; truth: string }[] = [];
  for await (const { input, truth } of recipe.samples(split, count, seed, wholeOf(plan, server))) {
    read.push({ input: inputCrossing(plan, input), truth });
  }
  const view =
    known ??
    recipe.view ??
    defaultView(
      plan,
      read.map(({ input }) => input.tensors),
    );
  const samples = read.map((sample) => {
    return { ...sample, view: view.see(sample.input.tensors), live: sample.input.tensors };
  });
  return { samples, view };
}

/** The same samples one boundary on. */
function advanced(
  { plan, tails }: LeakageRequest,
  k: number,
  samples: readonly LeakageSample[],
): Promise<LeakageSample[]> {
  return severalAtATime(samples, async (sample) => {
    return { ...sample, live: await runSegment(plan, tails[k] as Session, k, sample.live) };
  });
}

async function basisAt(
  matrices: Matrices,
  plan: Plan,
  k: number,
  samples: readonly LeakageSample[],
): Promise<FeatureBasis | undefined> {
  const [first] = samples;
  const placed = first && k > 0 ? placedTensors(boundaryAt(plan, k).tensors, first.live, first.view) : undefined;
  return (
    placed &&
    fitBasis(
      matrices,
      placed,
      samples.map(({ live }) => live),
    )
  );
}

/** What the guess scores on the tested samples. */
type Guessed = Results['guesses'][number];

interface DefenceRequest extends LeakageRequest {
  readonly matrices: Matrices;
  readonly network: Network;
  readonly sender: Sender;
  readonly basis: FeatureBasis | undefined;
  /** For an earlier defence of the boundary, with the same training samples. */
  readonly trained: Trained | undefined;
  readonly guess: Guess;
  readonly guessed: Guessed;
  readonly view: InputView;
}

/** @returns what the next defence's decoder begins with */
async function measureDefence(
  request: DefenceRequest,
  result: Results,
  { training, tested }: { readonly training: readonly LeakageSample[]; readonly tested: readonly LeakageSample[] },
  s: number,
): Promise<Trained | undefined> {
  const { matrices, network, sender, basis, guess, budget } = request;
  const { defence } = result;
  const random = seededRandom(request.seed * 1009 + s);
  const seenBy = async (samples: readonly LeakageSample[]): Promise<Seen[]> => {
    const seen: Seen[] = [];
    for (const { input, live, view } of samples) {
      const crossing = { ...input, tensors: live, picture: defence.k === 0 ? input.picture : null };
      const sent = await sender.send(crossing, defence, random, false);
      if (sent) seen.push({ boundary: sent.tensors, view });
    }
    return seen;
  };
  const seen = await seenBy(tested);
  let attack: Attack | undefined;
  let { trained } = request;
  if (defence.k === 0) {
    attack = identity(request.view);
  } else {
    const known = await seenBy(training);
    const heldOut = Math.max(1, Math.floor(known.length / HELD_OUT_SHARE));
    const samples = { training: known.slice(heldOut), heldOut: known.slice(0, heldOut) };
    const ridges = result.ridge === undefined ? RIDGES : [result.ridge];
    const { places, hidden, steps } = budget;
    const options = { seed: request.seed + s, places, hidden, steps, ridges, network, start: trained };
    const local = basis && (await refinedAttacks(matrices, samples, { ...options, basis }));
    const attacks = local?.attacks ?? [];
    trained ??= local?.trained;
    const whole = await wholeAttack(matrices, samples, KERNEL_RIDGES);
    result.ridge ??= attacks[0]?.ridge;
    attack = bestSharpened(
      whole ? [...attacks, whole] : attacks,
      samples.heldOut.map(({ view }) => view),
    );
  }
  const planes: Plane[] = [];
  for (const { boundary, view } of seen)
    planes.push(attack ? clamped(await attack.reconstruct(boundary)) : guess(view));
  if (s === 0) result.planes = planes;
  result.ssims.push(meanOf(planes.map((plane, i) => ssim(seen[i]?.view as Plane, plane))));
  result.psnrs.push(meanOf(planes.map((plane, i) => psnr(seen[i]?.view as Plane, plane))));
  result.guesses.push(request.guessed);
  result.names.push(attack?.name ?? 'the blind guess');
  // Of an input and itself it is 1.
  result.correlations.push(defence.k === 0 ? 1 : await correlationOf(matrices, basis, seen, random));
  return trained;
}

function blindGuess(training: readonly LeakageSample[], tested: readonly LeakageSample[]) {
  const guess = bestGuess(training.map(({ view }) => view));
  const score = (of: typeof ssim) => meanOf(tested.map(({ view }) => of(view, guess(view))));
  return { guess, guessed: { ssim: score(ssim), psnr: score(psnr) } };
}

/** Of boundary 0, which is the input itself, however it was packed. */
function identity(view: InputView): Attack {
  return { name: 'the input itself', heldOut: [], ridge: 0, reconstruct: async (boundary) => view.see(boundary) };
}
