/** The rules of layers: where channels are made, and where they are multiplied away. */
import { intAttribute, type Node } from '../graph/graph.ts';
import { freeze, freezeValue, freshLane, joinChannels, type Lane, laneOf, setLane } from './channel-flow.ts';
import type { RuleContext } from './channel-rules-shapes.ts';

/** Channels along axis 1; others of the input are of space, and mixed. */
export function convRule(context: RuleContext, node: Node): void {
  const { flow, shapeOf, isConstant } = context;
  const [input = '', weight = '', bias] = node.inputs;
  const shape = shapeOf(weight);
  if (!isConstant(weight) || !shape || (bias && !isConstant(bias))) {
    freezeInputs(context, node);
    return;
  }
  freezeOthers(context, node);
  const groups = intAttribute(node, 'group', 1);
  const lane = laneOf(flow, input, 1);
  if (groups > 1 && shape[1] === 1) depthwise(context, node, lane, groups);
  else grouped(context, node, lane, groups);
}

/** A channel in, its channels out. One whose input is fixed may still leave channels of it unread. */
function depthwise(context: RuleContext, node: Node, given: Lane | undefined, groups: number): void {
  const { flow, shapeOf, slice } = context;
  const [, weight = '', bias] = node.inputs;
  const lane = given ?? freshLane(flow, groups, node.outputs[0] ?? '');
  const each = (shapeOf(weight)?.[0] ?? groups) / groups;
  const out = lane.flatMap((id) => Array.from({ length: each }, () => id));
  slice(node, weight, 0, out, 'each');
  if (bias) slice(node, bias, 0, out, 'each');
  flow.repairs.push({ type: 'groups', at: node.outputs[0] ?? '', lane });
  if (!given) flow.repairs.push({ type: 'select', at: node.outputs[0] ?? '', lane });
  setLane(flow, node.outputs[0] ?? '', 1, out);
}

/** Groups, one or more, stay equally wide: the same position goes in all of them. */
function grouped(context: RuleContext, node: Node, lane: Lane | undefined, groups: number): void {
  const { flow, slice } = context;
  const [, weight = '', bias] = node.inputs;
  if (lane) {
    const width = lane.length / groups;
    for (const [i, id] of lane.entries()) joinChannels(flow, id, lane[i % width] as number);
    slice(node, weight, 1, lane.slice(0, width), 'input');
  }
  const out = outputLane(context, node, 0, 1, bias);
  const width = (out?.length ?? 0) / groups;
  for (const [i, id] of out?.entries() ?? []) joinChannels(flow, id, out?.[i % width] as number);
}

/** The weight is [input, output / group, ...space]. */
export function convTransposeRule(context: RuleContext, node: Node): void {
  const { flow, isConstant, slice } = context;
  const [input = '', weight = '', bias] = node.inputs;
  const isPlain = isConstant(weight) && intAttribute(node, 'group', 1) === 1 && (!bias || isConstant(bias));
  if (!isPlain) {
    freezeInputs(context, node);
    return;
  }
  freezeOthers(context, node);
  const lane = laneOf(flow, input, 1);
  if (lane) slice(node, weight, 0, lane, 'input');
  outputLane(context, node, 1, 1, bias);
}

export function gemmRule(context: RuleContext, node: Node): void {
  const { flow, shapeOf, isConstant, slice } = context;
  const [input = '', weight = '', bias] = node.inputs;
  const isPlain = isConstant(weight) && intAttribute(node, 'transA', 0) === 0 && (!bias || isConstant(bias));
  if (!isPlain) {
    freezeInputs(context, node);
    return;
  }
  const isTransposed = intAttribute(node, 'transB', 0) === 1;
  const lane = laneOf(flow, input, 1);
  if (lane) slice(node, weight, isTransposed ? 1 : 0, lane, 'input');
  setLane(flow, node.outputs[0] ?? '', 0, laneOf(flow, input, 0));
  const biasShape = shapeOf(bias ?? '') ?? [];
  const out = outputLane(context, node, isTransposed ? 0 : 1, 1, undefined);
  if (bias && out && biasShape.at(-1) === out.length) slice(node, bias, biasShape.length - 1, out, 'each');
}

/** By a constant matrix; a product of two values mixes what no weight tells apart. */
export function matMulRule(context: RuleContext, node: Node): void {
  const { flow, shapeOf, isConstant, slice } = context;
  const [input = '', weight = ''] = node.inputs;
  const rank = shapeOf(input)?.length ?? 0;
  if (!isConstant(weight) || shapeOf(weight)?.length !== 2 || rank < 2) {
    freezeInputs(context, node);
    return;
  }
  for (const [axis, lane] of flow.lanes.get(input) ?? []) {
    if (axis === rank - 1) slice(node, weight, 0, lane, 'input');
    else setLane(flow, node.outputs[0] ?? '', axis, lane);
  }
  outputLane(context, node, 1, rank - 1, undefined);
}

/** New channels along an axis of the output, which are rows of the weight and elements of the bias. */
function outputLane(
  { flow, shapeOf, slice }: RuleContext,
  node: Node,
  weightAxis: number,
  axis: number,
  bias: string | undefined,
): Lane | undefined {
  const [, weight = ''] = node.inputs;
  const count = shapeOf(weight)?.[weightAxis] ?? 1;
  // A single channel is no choice, and would look like one that is broadcast.
  if (count < 2) return undefined;
  const name = node.outputs[0] ?? '';
  const lane = freshLane(flow, count, name);
  slice(node, weight, weightAxis, lane, 'output');
  if (bias) slice(node, bias, 0, lane, 'each');
  setLane(flow, name, axis, lane);
  return lane;
}

function freezeInputs({ flow }: RuleContext, node: Node): void {
  for (const input of node.inputs) freezeValue(flow, input, `${node.op} multiplies them with no constant weight`);
}

/** Of space. */
function freezeOthers({ flow }: RuleContext, node: Node): void {
  for (const [at, lane] of flow.lanes.get(node.inputs[0] ?? '') ?? []) {
    if (at !== 1) freeze(flow, lane, `${node.op} runs over that axis as over space`);
  }
}
