/**
 * The plan's schema and its one parser. Only who reads plans loads it: what is asked of a plan once it is there is plan.ts. What
 * each part means: design.md, "How the data travels".
 */
import * as v from 'valibot';
import { isBase64 } from './base64.ts';
import { TandemError } from './errors.ts';
import { NOISE } from './noise-schema.ts';
import { amount, finite, integer, like, list, parseAs, sha256, share, text } from './parse.ts';
import { divisorOf } from './size.ts';
import { isSize } from './size-of.ts';
import { DTYPES } from './tensor.ts';

/** Raised whenever an older reader would misread a newer plan. */
export const PLAN_VERSION = 1;
/** Bits of a symbol that a quantized tier may have. */
export const TIER_BITS = [8, 7, 6, 5, 4, 3, 2] as const;
/** Segments of a chain. */
export const DEPTH_MAX = 64;

/** A plain name: nothing that could climb out of the bundle's folder. */
const fileName = like(/^[\w-][\w.-]*$/);
const File = v.object({ file: fileName, sha256, bytes: integer(1) });

/** A dimension: a number, the size variable, or the size variable divided: 480, "width", "width/8". */
const Dim = v.union([integer(1), like(/^[a-z]+(\/[1-9]\d*)?$/)]);
const TensorSpec = v.object({ name: text(), dtype: v.picklist(DTYPES), shape: v.array(Dim) });

/** The one dimension that varies between requests; times and bytes are functions of it. */
const Size = v.object({
  name: like(/^[a-z]+$/),
  unit: text(),
  step: integer(1),
  min: integer(1),
  max: integer(1),
  typical: integer(1),
});

const three = v.tuple([finite, finite, finite]);
/** How a picture becomes a float32 [1, 3, height, width] tensor: fitted, then (pixel / 255 - mean) / std. */
const PictureSteps = v.object({
  type: v.literal('picture'),
  /** Rows of the model's input. The width follows from the picture's own proportions. */
  height: integer(1),
  channels: v.picklist(['rgb', 'bgr']),
  /** In the order of `channels`. */
  mean: three,
  std: three,
});

/** Bytes, as base64. */
const bytes = v.pipe(v.string(), v.check(isBase64, 'expected base64'));
/** A matrix, [component][channel]. */
const MapRows = v.object({
  /** float32 of each component, which its weights are multiples of. */
  scales: bytes,
  /** int8. */
  rows: bytes,
});
/** Channels -> principal components and back: what a bottleneck sends. */
const TierMap = v.object({
  /** Shares of a step from which on a magnitude is rounded up, from 1: see `quantizeCentred`. */
  rounding: v.pipe(v.number(), v.gtValue(0), v.maxValue(0.5)),
  /** float32 of each channel. */
  mean: bytes,
  forth: MapRows,
  /** The way back, transposed; null where the rows that lead there are orthonormal, and lead back. */
  back: v.nullable(MapRows),
});
const QuantizedTensor = v.object({
  low: finite,
  step: v.pipe(finite, v.gtValue(0)),
  /** Channels that lie outermost, or 1 where the tensor is coded as one row; where there is a map, its components. */
  channels: integer(1),
  /** null where values are quantized as they are. */
  map: v.nullable(TierMap),
  /** What ContextTables of these names hold. */
  classes: bytes,
  starts: bytes,
  first: bytes,
  second: bytes,
});
const tierName = like(/^[a-z0-9-]{1,32}$/);
const Tier = v.variant('type', [
  v.object({
    type: v.literal('picture'),
    name: tierName,
    format: v.picklist(['webp', 'jpeg']),
    /** 1 to 100, as the formats' encoders count. */
    quality: integer(1, 100),
  }),
  v.object({
    type: v.literal('quantized'),
    name: tierName,
    bits: v.picklist(TIER_BITS),
    /** One entry a boundary tensor, in its order; null for one that is no float32 and travels as it is. */
    tensors: v.array(v.nullable(QuantizedTensor)),
  }),
  /** All tensors as they are, little-endian: nothing is lost. */
  v.object({ type: v.literal('raw'), name: tierName }),
]);

const Boundary = v.object({ tensors: v.array(TensorSpec), tiers: v.array(Tier) });

const Segment = v.object({
  inputs: v.array(text()),
  outputs: v.array(text()),
  /** Full precision, for the cloud. */
  server: File,
  /**
   * Compressed, by device target. A packed file is no ONNX before `unpackModel`; `bytes` and `sha256` are the file's. `recipe`
   * is for people, its hash for comparing: two files of one recipe do the same.
   */
  targets: v.record(
    text(),
    v.object({
      ...File.entries,
      ...{ recipe: text(), recipeSha256: sha256, encoding: v.optional(v.literal('packed')) },
      /** `goldenAnswer` of the segment's outputs. */
      golden: v.optional(v.array(v.array(finite))),
    }),
  ),
});

/** A cost as a function of the size variable: fixed + perSize * size. */
const Linear = v.object({ fixed: finite, perSize: finite });
const Accuracy = v.object({
  /** Where segments 1..k ran; `server` stands for the whole model in full precision. */
  target: text(),
  k: integer(0),
  /** null where nothing is sent: k = K. */
  tier: v.nullable(tierName),
  /** Value of each metric, by name. */
  metrics: v.record(text(), v.number()),
  /** Bytes on the wire, mean and 95th percentile; 0 where nothing is sent. */
  bytesMean: amount,
  bytesP95: amount,
});
/** Ways to send a boundary that leakage is measured of, and figures of each. */
const LEAKAGE_ROWS_MAX = 1024;
const figures = v.record(text(), finite);
const LeakageRow = v.object({
  k: integer(0),
  tier: tierName,
  noise: v.nullable(v.object(NOISE)),
  /**
   * What the best attack gains over the best blind guess, of what there is to gain: (ssim - ssimGuess) / (1 - ssimGuess), no less
   * than 0. 1 at k = 0, where what is sent is the input itself.
   */
  leakage: share,
  /** Its standard deviation over the seeds. */
  sd: amount,
  ssim: finite,
  ssimGuess: finite,
  /** Decibels. */
  psnr: finite,
  psnrGuess: finite,
  /** Of the input and what is sent, without bias. */
  distanceCorrelation: share,
  /** The model's own metrics on the reconstruction: what can still be read of it. */
  task: figures,
  /** The model's own metrics on what is sent, the tail in full precision. */
  accuracy: figures,
  bytesMean: amount,
  /** The attack that won. */
  attack: text(),
});
const Leakage = v.object({
  /** Who attacks with what, in words. */
  attack: text(1024),
  /** What of the input is reconstructed. */
  view: text(),
  /** Samples that an attack is fitted on, that it is tried on, and that accuracy is measured on. */
  trainingSamples: integer(1),
  samples: integer(1),
  accuracySamples: integer(1),
  seeds: integer(1),
  /** `task` of inputs that show exactly what is to be reconstructed, and of the best blind guess: the ends of its scale. */
  taskOriginal: figures,
  taskGuess: figures,
  /** The model's own metrics where nothing is sent. */
  accuracy: figures,
  rows: list(LeakageRow, LEAKAGE_ROWS_MAX),
});
const Measured = v.object({
  machine: text(1024),
  seed: integer(0),
  samples: integer(1),
  /** The model's own metrics, the one that budgets are in first. */
  metrics: v.pipe(v.array(v.object({ name: text(), isHigherBetter: v.boolean() })), v.minLength(1)),
  accuracy: v.array(Accuracy),
  /** Of each (k, tier) against the size: bytes of the coded boundary, and milliseconds that the server decodes them in. */
  tiers: v.array(v.object({ k: integer(0), tier: tierName, bytes: Linear, decodeMs: Linear })),
  /**
   * How far the boundaries 0..K-1 that a device target makes are from the full-precision ones: norm of the difference
   * over norm, worst sample.
   */
  boundaryErrors: v.record(text(), v.array(amount)),
  /** Milliseconds of each segment, by place: `server`, or a device target. Index 0 is segment 1. */
  timeMs: v.record(text(), v.array(Linear)),
  /** What boundaries give away of the input; whoever runs a tail learns the output at any k < K besides. */
  leakage: v.optional(Leakage),
});

const PlanSchema = v.object({
  version: v.literal(PLAN_VERSION),
  /** SHA-256 of `planContract`. */
  id: sha256,
  name: like(/^[a-z0-9][a-z0-9-]{0,63}$/),
  model: v.object({
    source: text(1024),
    sha256,
    bytes: integer(1),
    /** Inputs of the source that were fixed at a value. */
    fixed: v.optional(v.record(text(), finite), {}),
  }),
  size: Size,
  /** How the first input is made from a picture, or null where callers give tensors. */
  preprocess: v.nullable(PictureSteps),
  /** Boundaries 0..K. */
  boundaries: list(Boundary, DEPTH_MAX + 1, 2),
  /** Segments 1..K, at index 0..K-1. */
  segments: list(Segment, DEPTH_MAX, 1),
  /** Further files of the model that a client wants: a character set, a list of labels. */
  assets: v.record(text(), File),
  measured: v.nullable(Measured),
});

export type Plan = v.InferOutput<typeof PlanSchema>;
export type PlanFile = v.InferOutput<typeof File>;
export type PlanBoundary = v.InferOutput<typeof Boundary>;
export type PlanMeasured = v.InferOutput<typeof Measured>;
export type PlanLeakage = v.InferOutput<typeof Leakage>;
export type PlanLeakageRow = v.InferOutput<typeof LeakageRow>;
export type PlanAccuracy = v.InferOutput<typeof Accuracy>;
export type PictureSteps = v.InferOutput<typeof PictureSteps>;
export type TensorSpec = v.InferOutput<typeof TensorSpec>;
export type PlanDim = v.InferOutput<typeof Dim>;
export type PlanSize = v.InferOutput<typeof Size>;
export type Tier = v.InferOutput<typeof Tier>;
export type QuantizedTier = Extract<Tier, { type: 'quantized' }>;
export type QuantizedTensor = v.InferOutput<typeof QuantizedTensor>;
export type TierBits = QuantizedTier['bits'];
export type PictureTier = Extract<Tier, { type: 'picture' }>;
export type Linear = v.InferOutput<typeof Linear>;

/**
 * @param what the file or URL, for errors
 * @throws BAD_PLAN where the value is no plan, or one whose parts do not fit together
 */
export function parsePlan(value: unknown, what: string): Plan {
  const plan = parseAs(PlanSchema, value, 'BAD_PLAN', what);
  const problem = problemsOf(plan).next().value;
  if (problem !== undefined) throw new TandemError('BAD_PLAN', `${what}: ${problem}`);
  return plan;
}

/** What a schema cannot say: whether the parts fit together. */
function* problemsOf(plan: Plan): Generator<string, undefined> {
  const { boundaries, segments, size, preprocess } = plan;
  if (![size.min, size.max, size.typical].every((value) => isSize(value, size))) {
    yield `size: expected min <= typical <= max in steps of ${size.step}, got ${size.min}, ${size.typical}, ${size.max}`;
  }
  if (preprocess?.std.includes(0)) yield 'preprocess.std: expected deviations to divide by, got a 0';
  if (boundaries.length !== segments.length + 1) {
    yield `expected one boundary more than segments, got ${boundaries.length} and ${segments.length}`;
  }
  for (const [k, boundary] of boundaries.entries()) {
    yield* boundaryProblems(plan, k, boundary);
    const next = boundaries[k + 1];
    if (next) yield* segmentProblems(plan, k, boundary, next);
  }
  return undefined;
}

function* boundaryProblems({ size, preprocess }: Plan, k: number, { tensors, tiers }: PlanBoundary): Generator<string> {
  const duplicate = firstDuplicate(tensors) ?? firstDuplicate(tiers);
  if (duplicate !== undefined) yield `boundary ${k} has two of the name ${duplicate}`;
  for (const { name, shape } of tensors) {
    for (const dim of shape.filter((value) => typeof value === 'string')) {
      const what = `a dimension of ${name} is ${dim}`;
      if (dim.split('/', 1)[0] !== size.name) yield `${what}, the size variable is ${size.name}`;
      if (size.step % divisorOf(dim) !== 0) yield `${what}, which steps of ${size.step} do not divide`;
    }
  }
  for (const tier of tiers) {
    const what = `tier ${tier.name} of boundary ${k}`;
    if (tier.type === 'picture') {
      if (k !== 0 || preprocess === null) yield `${what} sends a picture, which boundary ${k} is not`;
      continue;
    }
    if (tier.type === 'raw') continue;
    if (tier.tensors.length !== tensors.length)
      yield `${what} codes ${tier.tensors.length} of ${tensors.length} tensors`;
    const wrong = tensors.find(({ dtype }, i) => (dtype === 'float32') !== (tier.tensors[i] !== null));
    if (wrong) yield `${what} quantizes float32 and nothing else, and ${wrong.name} is ${wrong.dtype}`;
  }
}

function* segmentProblems(plan: Plan, k: number, before: PlanBoundary, after: PlanBoundary): Generator<string> {
  const { inputs = [], outputs = [] } = plan.segments[k] ?? {};
  const given = new Set(before.tensors.map(({ name }) => name));
  const absent = inputs.find((name) => !given.has(name));
  if (absent !== undefined) yield `segment ${k + 1} reads ${absent}, which boundary ${k} does not carry`;
  // An output is given by the segment that makes it, and need not cross what comes behind. An input may be one as it is.
  const first = plan.boundaries[0]?.tensors ?? [];
  const earlier = [...plan.segments.flatMap((segment) => segment.outputs), ...first.map(({ name }) => name)];
  const made = k + 1 === plan.segments.length ? earlier : outputs;
  const unmade = after.tensors.find(({ name }) => !given.has(name) && !made.includes(name));
  if (unmade) yield `boundary ${k + 1} carries ${unmade.name}, which segment ${k + 1} does not make`;
}

function firstDuplicate(named: readonly { readonly name: string }[]): string | undefined {
  const seen = new Set<string>();
  return named.find(({ name }) => seen.size === seen.add(name).size)?.name;
}
