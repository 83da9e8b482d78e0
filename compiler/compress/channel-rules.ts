/**
 * What operators do with the channels of their inputs, one rule each. A rule that cannot follow a lane freezes it; an
 * operator without a rule freezes all it reads. Oracle of every rule: the graph without some channels gives what the
 * original gives whose readers have zeros for them.
 */
import { intAttribute, intsAttribute, isStandard, type Node } from '../graph/graph.ts';
import { freeze, freezeValue, join, laneOf, setLane } from './channel-flow.ts';
import { convRule, convTransposeRule, gemmRule, matMulRule } from './channel-rules-layers.ts';
import {
  concatRule,
  type RuleContext,
  reshapeRule,
  resizeRule,
  sliceRule,
  splitRule,
  squeezeRule,
} from './channel-rules-shapes.ts';

type Rule = (context: RuleContext, node: Node) => void;

const UNARY = [
  ...[
    'Abs',
    'Cast',
    'Ceil',
    'Celu',
    'Clip',
    'Dropout',
    'Elu',
    'Erf',
    'Exp',
    'Floor',
    'Gelu',
    'HardSigmoid',
    'HardSwish',
  ],
  ...[
    'Identity',
    'LeakyRelu',
    'Log',
    'Mish',
    'Neg',
    'Reciprocal',
    'Relu',
    'Round',
    'Selu',
    'Sigmoid',
    'Sign',
    'Softplus',
  ],
  ...['Softsign', 'Sqrt', 'Tanh', 'ThresholdedRelu'],
];
/** Of space alone: channels pass. */
const SPATIAL = ['AveragePool', 'GlobalAveragePool', 'GlobalMaxPool', 'LpPool', 'MaxPool'];
const BROADCAST = ['Add', 'Sub', 'Mul', 'Div', 'Max', 'Min', 'Sum', 'Mean', 'Pow', 'PRelu', 'Where'];
const REDUCE = ['ReduceMean', 'ReduceSum', 'ReduceMax', 'ReduceMin', 'ReduceL2', 'ReduceProd', 'ReduceSumSquare'];

const RULES: ReadonlyMap<string, Rule> = new Map<string, Rule>([
  ...[...UNARY, ...SPATIAL].map((op): [string, Rule] => [op, passRule]),
  ...BROADCAST.map((op): [string, Rule] => [op, broadcastRule]),
  ...REDUCE.map((op): [string, Rule] => [op, reduceRule]),
  ['ArgMax', reduceRule],
  ['BatchNormalization', perChannelRule],
  ['InstanceNormalization', perChannelRule],
  ['Conv', convRule],
  ['ConvTranspose', convTransposeRule],
  ['Gemm', gemmRule],
  ['MatMul', matMulRule],
  ['Concat', concatRule],
  ['Split', splitRule],
  ['Reshape', reshapeRule],
  ['Flatten', reshapeRule],
  ['Squeeze', squeezeRule],
  ['Unsqueeze', squeezeRule],
  ['Transpose', transposeRule],
  ['Slice', sliceRule],
  ['Pad', padRule],
  ['Resize', resizeRule],
  ['Upsample', passRule],
  ['Softmax', softmaxRule],
  ['LogSoftmax', softmaxRule],
]);

/** Gives the node's outputs their lanes, or freezes those of its inputs. */
export function applyRule(context: RuleContext, node: Node): void {
  const rule = isStandard(node, node.op) ? RULES.get(node.op) : undefined;
  if (rule) rule(context, node);
  else for (const input of node.inputs) freezeValue(context.flow, input, `${node.op} may need all of them`);
}

function passRule({ flow }: RuleContext, node: Node): void {
  const [input = '', ...others] = node.inputs;
  for (const [axis, lane] of flow.lanes.get(input) ?? []) setLane(flow, node.outputs[0] ?? '', axis, lane);
  for (const other of others) freezeValue(flow, other, `${node.op} reads them as parameters`);
  // Masks and indices beside the first output: nobody follows them.
  if (node.outputs.slice(1).some((name) => name !== '')) freezeValue(flow, input, `${node.op} has a second output`);
}

/** Inputs 1 and on have a value a channel. */
function perChannelRule(context: RuleContext, node: Node): void {
  const { flow, slice } = context;
  const [input = '', ...parameters] = node.inputs;
  if (node.outputs.length > 1) freezeValue(flow, input, `${node.op} has a second output`);
  const lane = laneOf(flow, input, 1);
  for (const [axis, others] of flow.lanes.get(input) ?? []) {
    if (axis !== 1) freeze(flow, others, `${node.op} has its parameters along another axis`);
  }
  if (!lane) return;
  for (const parameter of parameters) slice(node, parameter, 0, lane, 'each');
  setLane(flow, node.outputs[0] ?? '', 1, lane);
}

/** Axes are matched from the last; what is of size 1 there goes with any number of channels. */
function broadcastRule(context: RuleContext, node: Node): void {
  const { flow, shapeOf, isConstant, slice } = context;
  const output = node.outputs[0] ?? '';
  const rank = shapeOf(output)?.length;
  const inputs = node.inputs.map((name) => ({ name, shape: shapeOf(name) }));
  if (rank === undefined || inputs.some(({ shape }) => shape === undefined)) {
    for (const { name } of inputs) freezeValue(flow, name, `shapes at ${node.op} are not known`);
    return;
  }
  for (let axis = 0; axis < rank; axis++) {
    const along = inputs.flatMap(({ name, shape = [] }) => {
      const own = axis - (rank - shape.length);
      return own >= 0 && shape[own] !== 1 ? [{ name, own, lane: laneOf(flow, name, own) }] : [];
    });
    const lane = along.find((input) => input.lane)?.lane;
    if (!lane) continue;
    for (const input of along) {
      if (input.lane) join(flow, lane, input.lane);
      else if (isConstant(input.name)) slice(node, input.name, input.own, lane, 'each');
      else freeze(flow, lane, `${node.op} combines them with ${input.name}, which is fixed`);
    }
    setLane(flow, output, axis, lane);
  }
}

function reduceRule(context: RuleContext, node: Node): void {
  const { flow, shapeOf, intsOf } = context;
  const [input = '', axesInput] = node.inputs;
  const lanes = flow.lanes.get(input);
  const shape = shapeOf(input);
  if (!lanes || !shape) return;
  const isArg = node.op === 'ArgMax';
  const given = isArg ? [intAttribute(node, 'axis', 0)] : (intsAttribute(node, 'axes') ?? intsOf(axesInput));
  const keeps = intAttribute(node, 'keepdims', 1) === 1;
  const isUnknown = axesInput !== undefined && axesInput !== '' && !given;
  const axes = (given ?? shape.map((_, i) => i)).map((axis) => (axis + shape.length) % shape.length);
  for (const [axis, lane] of lanes) {
    if (isUnknown || axes.includes(axis)) freeze(flow, lane, `${node.op} is over all of them`);
    else setLane(flow, node.outputs[0] ?? '', keeps ? axis : axis - axes.filter((other) => other < axis).length, lane);
  }
}

function transposeRule({ flow, shapeOf }: RuleContext, node: Node): void {
  const [input = ''] = node.inputs;
  const rank = shapeOf(input)?.length ?? 0;
  const perm = intsAttribute(node, 'perm') ?? Array.from({ length: rank }, (_, i) => rank - 1 - i);
  for (const [to, from] of perm.entries()) setLane(flow, node.outputs[0] ?? '', to, laneOf(flow, input, from));
}

/** Before version 13 it is over all axes from `axis` on. */
function softmaxRule({ flow, shapeOf, opset }: RuleContext, node: Node): void {
  const [input = ''] = node.inputs;
  const rank = shapeOf(input)?.length ?? 0;
  const axis = (intAttribute(node, 'axis', opset < 13 ? 1 : -1) + rank) % Math.max(1, rank);
  for (const [at, lane] of flow.lanes.get(input) ?? []) {
    if (opset < 13 ? at >= axis : at === axis) freeze(flow, lane, `${node.op} is over all of them`);
    else setLane(flow, node.outputs[0] ?? '', at, lane);
  }
}

function padRule({ flow, shapeOf, intsOf }: RuleContext, node: Node): void {
  const [input = '', padsInput, , axesInput] = node.inputs;
  const rank = shapeOf(input)?.length ?? 0;
  const pads = intsAttribute(node, 'pads') ?? intsOf(padsInput);
  const isPlain = pads?.length === 2 * rank && (axesInput === undefined || axesInput === '');
  for (const [axis, lane] of flow.lanes.get(input) ?? []) {
    const isPadded = !isPlain || pads[axis] !== 0 || pads[axis + rank] !== 0;
    if (isPadded) freeze(flow, lane, 'Pad may add to them');
    else setLane(flow, node.outputs[0] ?? '', axis, lane);
  }
}
