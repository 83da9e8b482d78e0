/**
 * What changed in the standard operators from opset 6 to 20, as data for `upgradeOpset`. An operator that is not here is not
 * converted. Source: ONNX, docs/Changelog.md and onnx/defs/operator_sets.h.
 */
import { type Attribute, type Constant, type Node, stringAttribute } from '../graph/graph.ts';

/** What a conversion may ask of the graph around a node. */
export interface Surroundings {
  /** An int64 vector as an initializer; gives its name. */
  readonly ints: (values: readonly bigint[]) => string;
  /** A number of the type that float values have here, or undefined where that is not known. */
  readonly float: (value: number) => string | undefined;
  /** How many axes a value is known to have. */
  readonly rank: (name: string) => number | undefined;
  readonly constant: (name: string) => Constant | undefined;
}

/** Changes a node in place. Gives false where the newer operator cannot say the same. */
export type Conversion = (node: Node, around: Surroundings) => boolean;

/** Operators that kept their meaning: what came was more types, or attributes whose default is what was before. */
export const UNCHANGED: ReadonlySet<string> = new Set([
  ...['Abs', 'Acos', 'Acosh', 'ArgMax', 'ArgMin', 'Asin', 'Asinh', 'Atan', 'Atanh', 'Bernoulli', 'BitShift'],
  ...['BlackmanWindow', 'Cast', 'CastLike', 'Ceil', 'Celu', 'Compress', 'Concat', 'ConcatFromSequence', 'Constant'],
  ...['ConstantOfShape', 'Conv', 'ConvInteger', 'Cos', 'Cosh', 'CumSum', 'DepthToSpace', 'DequantizeLinear', 'Det'],
  ...['DynamicQuantizeLinear', 'Einsum', 'Elu', 'Erf', 'Exp', 'Expand', 'EyeLike', 'Flatten', 'Floor', 'Gather'],
  ...['GatherElements', 'GatherND', 'GlobalAveragePool', 'GlobalMaxPool', 'GreaterOrEqual', 'HammingWindow'],
  ...['HannWindow', 'HardSigmoid', 'HardSwish', 'Identity', 'If', 'InstanceNormalization', 'IsInf', 'IsNaN', 'LRN'],
  ...['LayerNormalization', 'LeakyRelu', 'LessOrEqual', 'Log', 'Loop', 'MatMul', 'MatMulInteger', 'Max', 'MaxPool'],
  ...['MaxUnpool', 'Mean', 'MeanVarianceNormalization', 'MelWeightMatrix', 'Min', 'Mish', 'Mod', 'Neg'],
  ...['NegativeLogLikelihoodLoss', 'NonMaxSuppression', 'NonZero', 'Not', 'Optional', 'OptionalGetElement'],
  ...['OptionalHasElement', 'QLinearConv', 'QLinearMatMul'],
  ...['QuantizeLinear', 'RandomNormal', 'RandomNormalLike', 'RandomUniform', 'RandomUniformLike', 'Range'],
  ...['Reciprocal', 'Relu', 'Reshape', 'ReverseSequence', 'Round', 'STFT', 'ScatterElements', 'ScatterND', 'Selu'],
  ...[
    'SequenceAt',
    'SequenceConstruct',
    'SequenceEmpty',
    'SequenceErase',
    'SequenceInsert',
    'SequenceLength',
    'SequenceMap',
  ],
  ...['Shape', 'Shrink', 'Sigmoid', 'Sign', 'Sin', 'Sinh', 'Size', 'SoftmaxCrossEntropyLoss', 'Softplus', 'Softsign'],
  ...['SpaceToDepth', 'SplitToSequence', 'Sqrt', 'StringNormalizer', 'Sum', 'Tan', 'Tanh', 'TfIdfVectorizer'],
  ...['ThresholdedRelu', 'Tile', 'Transpose', 'Trilu', 'Unique', 'Where'],
]);

const REDUCTIONS = [
  ...['ReduceL1', 'ReduceL2', 'ReduceLogSum', 'ReduceLogSumExp', 'ReduceMax', 'ReduceMean', 'ReduceMin', 'ReduceProd'],
  ...['ReduceSumSquare'],
];

/** Of the other operators, what has to be done on the way to a version. */
export const CHANGED: Readonly<Record<string, Readonly<Record<number, Conversion>>>> = {
  ...each(['Add', 'And', 'Div', 'Equal', 'Gemm', 'Greater', 'Less', 'Mul', 'Or', 'Pow', 'Sub', 'Xor'], {
    7: withoutOldBroadcast,
  }),
  ...each(['GRU', 'LSTM', 'RNN'], { 7: without('output_sequence') }),
  ...each(REDUCTIONS, { 18: attributeToInput('axes') }),
  ...each(['ReduceSum', 'Squeeze', 'Unsqueeze'], { 13: attributeToInput('axes') }),
  ...each(['Softmax', 'LogSoftmax', 'Hardmax'], { 13: overTheLastAxis }),
  // Windows over the edge are counted otherwise.
  AveragePool: { 19: without('ceil_mode', 0) },
  BatchNormalization: { 7: attributeGone('is_test'), 9: attributeGone('spatial', 1), 14: withOneOutput },
  Clip: { 11: (node, around) => floatsToInputs(node, around, ['min', 'max']) },
  // On which side an odd pad goes was said in another way.
  ConvTranspose: { 11: (node, around) => without('auto_pad')(node, around) && without('output_shape')(node, around) },
  Dropout: { 7: attributeGone('is_test'), 10: withOneOutput, 12: withoutRatio },
  GridSample: { 20: withNewModeNames },
  // Negative indices were out of range, and then counted from the end.
  OneHot: { 11: () => false },
  PRelu: { 7: withOneSlope },
  Pad: { 11: (node, around) => attributeToInput('pads')(node, around) && floatsToInputs(node, around, ['value']) },
  Resize: { 11: () => false, 13: withoutOldCoordinates },
  RoiAlign: { 16: withOldCoordinates },
  // A batch axis of its own, until opset 9.
  Scan: { 9: () => false },
  Scatter: { 11: renamed('ScatterElements') },
  Slice: { 10: slicedByInputs },
  Split: { 13: attributeToInput('split'), 18: withCount },
  TopK: { 10: attributeToInput('k') },
};

function each(ops: readonly string[], changes: Readonly<Record<number, Conversion>>) {
  return Object.fromEntries(ops.map((op) => [op, changes]));
}

function renamed(op: string): Conversion {
  return (node) => {
    node.op = op;
    return true;
  };
}

/** An attribute must not be there, or have the value that says nothing. */
function without(name: string, fallback?: number): Conversion {
  return ({ attributes }) => {
    const attribute = attributes.get(name);
    return attribute === undefined || (fallback !== undefined && isInt(attribute, fallback));
  };
}

/** An attribute that went: it was 1, given or by default. */
function attributeGone(name: string, fallback = 0): Conversion {
  return ({ attributes }) => {
    const attribute = attributes.get(name);
    attributes.delete(name);
    return attribute === undefined ? fallback === 1 : isInt(attribute, 1);
  };
}

/** Without an axis it broadcast along the last dimensions, as NumPy does, and as all do since. */
function withoutOldBroadcast({ attributes }: Node): boolean {
  attributes.delete('broadcast');
  return !attributes.has('axis');
}

/** Ints become the second input. */
function attributeToInput(name: string): Conversion {
  return (node, around) => {
    const attribute = node.attributes.get(name);
    if (attribute === undefined) return true;
    if (attribute.type !== 'ints' && attribute.type !== 'int') return false;
    node.attributes.delete(name);
    node.inputs = [node.inputs[0] ?? '', around.ints(attribute.type === 'int' ? [attribute.value] : attribute.value)];
    return true;
  };
}

/** Floats become scalar inputs behind those there are. */
function floatsToInputs(node: Node, around: Surroundings, names: readonly string[]): boolean {
  const inputs = names.map((name) => {
    const attribute = node.attributes.get(name);
    node.attributes.delete(name);
    return attribute?.type === 'float' ? around.float(attribute.value) : '';
  });
  if (inputs.includes(undefined)) return false;
  node.inputs = [...node.inputs, ...(inputs as string[])];
  while (node.inputs.at(-1) === '') node.inputs.pop();
  return true;
}

/** It flattened from the axis on, by default the second; now it takes the axis alone. For the last one that is the same. */
function overTheLastAxis({ inputs, attributes }: Node, { rank }: Surroundings): boolean {
  const attribute = attributes.get('axis') ?? { type: 'int', value: 1n };
  const axes = rank(inputs[0] ?? '');
  const isLast = isInt(attribute, -1) || (axes !== undefined && isInt(attribute, axes - 1));
  attributes.set('axis', { type: 'int', value: -1n });
  return isLast;
}

function withOneOutput({ outputs }: Node): boolean {
  return outputs.slice(1).every((name) => name === '');
}

/** Nothing is dropped outside of training. */
function withoutRatio(node: Node): boolean {
  node.attributes.delete('ratio');
  return withOneOutput(node);
}

function withOneSlope({ inputs }: Node, { constant }: Surroundings): boolean {
  return constant(inputs[1] ?? '')?.shape.every((dim) => dim === 1) === true;
}

function withNewModeNames(node: Node): boolean {
  const names: Readonly<Record<string, string>> = { bilinear: 'linear', bicubic: 'cubic', nearest: 'nearest' };
  const mode = names[stringAttribute(node, 'mode', 'bilinear')];
  if (mode !== undefined) node.attributes.set('mode', text(mode));
  return mode !== undefined;
}

function withoutOldCoordinates(node: Node): boolean {
  return stringAttribute(node, 'coordinate_transformation_mode', '') !== 'tf_half_pixel_for_nn';
}

function withOldCoordinates({ attributes }: Node): boolean {
  attributes.set('coordinate_transformation_mode', text('output_half_pixel'));
  return true;
}

function slicedByInputs(node: Node, around: Surroundings): boolean {
  const given = ['starts', 'ends', 'axes'].map((name) => node.attributes.get(name));
  const lists = given.map((attribute) => (attribute?.type === 'ints' ? around.ints(attribute.value) : ''));
  node.attributes.clear();
  node.inputs = [node.inputs[0] ?? '', ...lists];
  if (lists[2] === '') node.inputs.pop();
  return lists[0] !== '' && lists[1] !== '';
}

/** Where it is not said how to split, it is now said into how many. */
function withCount(node: Node): boolean {
  if (!node.inputs[1]) node.attributes.set('num_outputs', { type: 'int', value: BigInt(node.outputs.length) });
  return true;
}

function isInt(attribute: Attribute, value: number): boolean {
  return attribute.type === 'int' && attribute.value === BigInt(value);
}

function text(value: string): Attribute {
  return { type: 'string', value: new TextEncoder().encode(value) };
}
