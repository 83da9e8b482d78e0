/**
 * How operators make dimensions out of dimensions: for those operators that dynamic shapes meet, as ONNX defines them from
 * operator set 7 on. A rule says only what it knows, and null or undefined of the rest.
 */
import {
  axesOf,
  broadcast,
  type Dims,
  type DimsOf,
  indices,
  isWhole,
  type KnownDim,
  type MaybeDim,
  normal,
  product,
  quotient,
  rangesOf,
  slicedShape,
  symbolsIn,
  unknownValues,
} from './dim-algebra.ts';
import { intAttribute, intsAttribute, type Node, stringAttribute } from './graph.ts';

const words = (text: string) => text.split(/\s+/).filter((word) => word !== '');

/** Their first output has the shape of their first input. */
const SAME = new Set(
  words(`
  Abs Acos Acosh Asin Asinh Atan Atanh BatchNormalization BitwiseNot Cast CastLike Ceil Celu Clip Cos Cosh CumSum
  DequantizeLinear Dropout Elu Erf Exp Floor Gelu GroupNormalization HardSigmoid HardSwish Hardmax Identity
  InstanceNormalization IsInf IsNaN LRN LayerNormalization LeakyRelu Log LogSoftmax LpNormalization
  MeanVarianceNormalization Mish Neg Not QuantizeLinear RMSNormalization Reciprocal Relu ReverseSequence Round Scatter
  ScatterElements ScatterND Selu Shrink Sigmoid Sign Sin Sinh Softmax Softplus Softsign Sqrt Swish Tan Tanh
  ThresholdedRelu Trilu`),
);
const BROADCAST = new Set(
  words(`
  Add And BitShift BitwiseAnd BitwiseOr BitwiseXor Div Equal Greater GreaterOrEqual Less LessOrEqual Max Mean Min Mod Mul
  Or PRelu Pow Sub Sum Where Xor`),
);

/** Dimensions of a node's outputs, in their order. */
export function dimsByRule(node: Node, known: DimsOf): Dims[] {
  const { op, inputs, outputs } = node;
  const all = inputs.map((name) => known.dims(name));
  const [x, y] = all;
  if (op === 'Split') return x ? splitDims(node, x, outputs.length, known) : [];
  if (SAME.has(op)) return [x];
  if (BROADCAST.has(op) || op === 'Expand') {
    const shape = known.values(inputs[1] ?? '')?.map((dim) => (typeof dim === 'number' && dim < 0 ? null : dim));
    return [broadcast(op === 'Expand' ? [x, shape] : all)];
  }
  if (op === 'ConstantOfShape') return [known.values(inputs[0] ?? '')];
  if (op === 'Reshape') return [reshapeDims(node, x, known)];
  return x ? [dimsOfOne(node, x, y, known)] : [];
}

function dimsOfOne(node: Node, x: readonly KnownDim[], y: readonly KnownDim[] | undefined, known: DimsOf): Dims {
  const { op, inputs } = node;
  const rank = x.length;
  switch (op) {
    case 'Shape':
      return [slicedShape(node, x).length];
    case 'Size':
      return [];
    case 'MatMul': {
      if (!y || rank < 2 || y.length < 2) return undefined;
      const batch = broadcast([x.slice(0, -2), y.slice(0, -2)]);
      return batch && [...batch, x.at(-2) as KnownDim, y.at(-1) as KnownDim];
    }
    case 'Gemm':
      if (!y || rank !== 2 || y.length !== 2) return undefined;
      return [x[intAttribute(node, 'transA', 0)] ?? null, y[1 - intAttribute(node, 'transB', 0)] ?? null];
    case 'Conv':
      return y && windowDims(node, x, y[0] ?? null, y.slice(2), known);
    case 'MaxPool':
    case 'AveragePool':
      return windowDims(node, x, x[1] ?? null, intsAttribute(node, 'kernel_shape') ?? [], known);
    case 'GlobalAveragePool':
    case 'GlobalMaxPool':
      return x.map((dim, axis) => (axis < 2 ? dim : 1));
    case 'Transpose': {
      const order = intsAttribute(node, 'perm') ?? x.map((_, axis) => rank - 1 - axis);
      return order.map((axis) => x[axis] ?? null);
    }
    case 'Flatten': {
      const axis = normal(intAttribute(node, 'axis', 1), rank);
      return [product(x.slice(0, axis)), product(x.slice(axis))];
    }
    case 'Concat': {
      const all = inputs.map((name) => known.dims(name));
      return concatDims(all, normal(intAttribute(node, 'axis', 0), rank));
    }
    case 'Squeeze': {
      const axes = axesOf(node, known, rank);
      return axes && x.filter((_, axis) => !axes.includes(axis));
    }
    case 'Unsqueeze': {
      const count = (intsAttribute(node, 'axes') ?? known.values(inputs[1] ?? ''))?.length;
      const axes = count === undefined ? undefined : axesOf(node, known, rank + count);
      if (!axes) return undefined;
      const rest = [...x];
      return Array.from({ length: rank + axes.length }, (_, axis) =>
        axes.includes(axis) ? 1 : (rest.shift() ?? null),
      );
    }
    case 'Slice': {
      const ranges = rangesOf(node, known, rank);
      if (!ranges) return x.map(() => null);
      return x.map((dim, axis) => {
        const range = ranges.get(axis);
        if (!range || isWhole(range)) return dim;
        return typeof dim === 'number' && range !== 'unknown' ? indices(dim, range).length : null;
      });
    }
    case 'Gather': {
      const axis = normal(intAttribute(node, 'axis', 0), rank);
      return y && [...x.slice(0, axis), ...y, ...x.slice(axis + 1)];
    }
    case 'GatherElements':
      return y;
    case 'ArgMax':
    case 'ArgMin':
      return reduced(node, x, [normal(intAttribute(node, 'axis', 0), rank)]);
    default:
      return /^Reduce[A-Z]/.test(op) ? reduceDims(node, x, known) : undefined;
  }
}

function concatDims(all: readonly Dims[], axis: number): Dims {
  const [first] = all;
  if (!first || !all.every((dims) => dims?.length === first.length)) return undefined;
  return first.map((dim, at) => {
    const here = all.map((dims) => dims?.[at] ?? null);
    if (at !== axis) return here.every((other) => other === dim) ? dim : null;
    if (here.length === 1) return dim;
    return here.every((other) => typeof other === 'number')
      ? here.reduce((sum: number, n) => sum + Number(n), 0)
      : null;
  });
}

function splitDims(node: Node, x: readonly KnownDim[], count: number, known: DimsOf): Dims[] {
  const axis = normal(intAttribute(node, 'axis', 0), x.length);
  const sizes = intsAttribute(node, 'split') ?? known.values(node.inputs[1] ?? '');
  const whole = x[axis];
  const equal = !node.inputs[1] && typeof whole === 'number' && whole % count === 0 ? whole / count : null;
  return Array.from({ length: count }, (_, i) => x.map((dim, at) => (at === axis ? (sizes?.[i] ?? equal) : dim)));
}

function reduceDims(node: Node, x: readonly KnownDim[], known: DimsOf): Dims {
  const axes = axesOf(node, known, x.length);
  if (node.inputs[1] && !axes) return intAttribute(node, 'keepdims', 1) === 1 ? x.map(() => null) : undefined;
  if (axes && axes.length > 0) return reduced(node, x, axes);
  return intAttribute(node, 'noop_with_empty_axes', 0) === 1
    ? x
    : reduced(
        node,
        x,
        x.map((_, axis) => axis),
      );
}

function reduced(node: Node, x: readonly KnownDim[], axes: readonly number[]): Dims {
  return intAttribute(node, 'keepdims', 1) === 1
    ? x.map((dim, axis) => (axes.includes(axis) ? 1 : dim))
    : x.filter((_, axis) => !axes.includes(axis));
}

/**
 * Conv and pooling. A dimension that a window of the same step, padding and reach made of the same symbol is the same: the
 * two ways of a residual block end alike.
 */
function windowDims(
  node: Node,
  x: readonly KnownDim[],
  channels: MaybeDim,
  kernel: readonly MaybeDim[],
  { symbolOf }: DimsOf,
): Dims {
  const spatial = x.length - 2;
  if (kernel.length !== spatial) return undefined;
  const [strides, dilations] = [intsAttribute(node, 'strides'), intsAttribute(node, 'dilations')];
  const pads = intsAttribute(node, 'pads');
  const autoPad = stringAttribute(node, 'auto_pad', 'NOTSET');
  const window = kernel.map((size, i): MaybeDim => {
    const dim = x[i + 2] as KnownDim;
    const stride = strides?.[i] ?? 1;
    if (typeof size !== 'number' || (intAttribute(node, 'ceil_mode', 0) !== 0 && stride !== 1)) return null;
    const dilation = dilations?.[i] ?? 1;
    if (autoPad.startsWith('SAME') && dilation !== 1) return null;
    const reach = dilation * (size - 1) + 1;
    const padding = autoPad === 'NOTSET' ? (pads?.[i] ?? 0) + (pads?.[i + spatial] ?? 0) : 0;
    // Steps beyond the first: floor((dim + slack) / stride).
    const slack = autoPad.startsWith('SAME') ? -1 : padding - reach;
    if (typeof dim === 'number') return Math.max(0, Math.floor((dim + slack) / stride) + 1);
    return stride === 1 && slack === -1 ? dim : symbolOf(`window ${dim} ${slack} ${stride}`);
  });
  return [x[0] ?? null, channels, ...window];
}

function reshapeDims(node: Node, x: readonly KnownDim[] | undefined, known: DimsOf): Dims {
  const shape = node.inputs[1] ?? '';
  const target = known.values(shape) ?? unknownValues(known.dims(shape));
  if (!target) return undefined;
  const copiesAtZero = intAttribute(node, 'allowzero', 0) === 0;
  const fits = target.every((dim) => dim !== null && dim !== -1);
  const dims = target.map((dim, axis): MaybeDim => {
    if (dim === 0 && copiesAtZero) return x?.[axis] ?? null;
    if (typeof dim === 'number') return dim >= 0 ? dim : null;
    // One that is 0 would mean "as it was": it is surely itself only where that is the same, refused, or gives a tensor of
    // another size.
    const isItself = !copiesAtZero || x?.[axis] === dim || (x && axis >= x.length) || (fits && isPartOf(dim, x));
    return isItself ? dim : null;
  });
  const open = target.indexOf(-1);
  if (open >= 0 && x) dims[open] = quotient(x, dims.toSpliced(open, 1));
  return dims;
}

/** Whether a tensor of these dimensions has no elements where this one is 0. */
function isPartOf(dim: MaybeDim, dims: readonly KnownDim[] | undefined): boolean {
  const symbols = new Set(dims?.flatMap(symbolsIn));
  return dim !== null && symbolsIn(dim).every((symbol) => symbols.has(symbol));
}
