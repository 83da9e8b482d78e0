/** The rules of operators that move channels: joined, parted, flattened. Also what every rule is given. */
import { intAttribute, intsAttribute, type Node } from '../graph/graph.ts';
import {
  type Flow,
  fixedLane,
  freeze,
  freezeValue,
  join,
  type Lane,
  laneOf,
  type SliceRole,
  setLane,
} from './channel-flow.ts';

export interface RuleContext {
  readonly flow: Flow;
  /** Of the standard operator set. */
  readonly opset: number;
  shapeOf(name: string): readonly number[] | undefined;
  isConstant(name: string): boolean;
  /** Elements of a constant of integers. */
  intsOf(name: string | undefined): readonly number[] | undefined;
  /** Has positions of a constant go with a lane; freezes the lane where `name` is no constant. */
  slice(reader: Node, name: string, axis: number, lane: Lane, role: SliceRole): void;
}

export function concatRule({ flow, shapeOf }: RuleContext, node: Node): void {
  const output = node.outputs[0] ?? '';
  const rank = shapeOf(output)?.length ?? 0;
  const axis = (intAttribute(node, 'axis', 0) + rank) % Math.max(1, rank);
  for (let at = 0; at < rank; at++) {
    const lanes = node.inputs.map((name) => laneOf(flow, name, at));
    const first = lanes.find((lane) => lane);
    if (!first) continue;
    if (at === axis) {
      const parts = node.inputs.map(
        (name, i) => lanes[i] ?? fixedLane(flow, shapeOf(name)?.[axis] ?? 0, name, `${name} is fixed`),
      );
      setLane(flow, output, at, parts.flat());
    } else {
      for (const lane of lanes) {
        if (lane) join(flow, first, lane);
        else freeze(flow, first, 'Concat joins them with what is fixed');
      }
      setLane(flow, output, at, first);
    }
  }
}

export function splitRule({ flow, shapeOf, intsOf }: RuleContext, node: Node): void {
  const [input = '', sizesInput] = node.inputs;
  const rank = shapeOf(input)?.length ?? 0;
  const axis = (intAttribute(node, 'axis', 0) + rank) % Math.max(1, rank);
  for (const [at, lane] of flow.lanes.get(input) ?? []) {
    if (at !== axis) {
      for (const output of node.outputs) setLane(flow, output, at, lane);
      continue;
    }
    const sizes = node.outputs.map((name) => shapeOf(name)?.[axis] ?? 0);
    const isKnown = sizes.reduce((a, b) => a + b, 0) === lane.length && (!sizesInput || intsOf(sizesInput));
    if (!isKnown) {
      freeze(flow, lane, 'Split has sizes that are not known');
      continue;
    }
    const ends = sizes.map((_, i) => sizes.slice(0, i + 1).reduce((a, b) => a + b, 0));
    const lanes = ends.map((end, i) => lane.slice(end - (sizes[i] ?? 0), end));
    flow.repairs.push({ type: 'split', at: node.outputs[0] ?? '', lanes });
    for (const [i, part] of lanes.entries()) setLane(flow, node.outputs[i] ?? '', axis, part);
  }
}

/** Also Flatten, which has no sizes to repair. */
export function reshapeRule(context: RuleContext, node: Node): void {
  const { flow, intsOf } = context;
  const [input = '', sizesInput] = node.inputs;
  const [output = ''] = node.outputs;
  if (!flow.lanes.has(input)) return;
  const sizes = intsOf(sizesInput);
  if (node.op === 'Reshape' && !sizes) {
    freezeValue(flow, input, 'Reshape has a shape that is computed');
    return;
  }
  moveLanes(context, input, output, node.op);
  for (const [axis, lane] of flow.lanes.get(output) ?? []) {
    // 0 and -1 find their number themselves.
    if (sizes && (sizes[axis] ?? 0) > 0) flow.repairs.push({ type: 'size', at: output, input: 1, element: axis, lane });
  }
}

export function squeezeRule(context: RuleContext, node: Node): void {
  moveLanes(context, node.inputs[0] ?? '', node.outputs[0] ?? '', node.op);
}

/** On other axes than that of channels. */
export function sliceRule({ flow, shapeOf, intsOf }: RuleContext, node: Node): void {
  const [input = '', starts, , axesInput] = node.inputs;
  const rank = shapeOf(input)?.length ?? 0;
  const count = (intsAttribute(node, 'starts') ?? intsOf(starts))?.length;
  const all = count === undefined ? undefined : Array.from({ length: count }, (_, i) => i);
  const axes = intsAttribute(node, 'axes') ?? (axesInput ? intsOf(axesInput) : all);
  for (const [axis, lane] of flow.lanes.get(input) ?? []) {
    const isCut = axes === undefined || axes.some((cut) => (cut + rank) % rank === axis);
    if (isCut) freeze(flow, lane, 'Slice counts them');
    else setLane(flow, node.outputs[0] ?? '', axis, lane);
  }
}

export function resizeRule({ flow, intsOf }: RuleContext, node: Node): void {
  const [input = '', , , sizesInput] = node.inputs;
  const [output = ''] = node.outputs;
  const hasSizes = sizesInput !== undefined && sizesInput !== '';
  for (const [axis, lane] of flow.lanes.get(input) ?? []) {
    if (hasSizes && !intsOf(sizesInput)) freeze(flow, lane, 'Resize has sizes that are computed');
    else if (hasSizes) flow.repairs.push({ type: 'size', at: output, input: 3, element: axis, lane });
    setLane(flow, output, axis, lane);
  }
}

/**
 * Lanes through a change of shape: axes are matched in runs of equal products. In a run one lane can be followed, through
 * flattening, or where it alone has more than one position.
 */
function moveLanes({ flow, shapeOf }: RuleContext, input: string, output: string, op: string): void {
  const [from, to] = [shapeOf(input), shapeOf(output)];
  if (!from || !to) {
    freezeValue(flow, input, `shapes at ${op} are not known`);
    return;
  }
  for (const [fromAxes, toAxes] of matchedRuns(from, to)) {
    const moving = fromAxes.filter((axis) => laneOf(flow, input, axis));
    const wide = toAxes.filter((axis) => to[axis] !== 1);
    const [axis] = moving;
    if (axis === undefined) continue;
    const lane = laneOf(flow, input, axis) as Lane;
    const [target] = wide;
    if (moving.length > 1 || wide.length !== 1 || target === undefined) {
      for (const other of moving) freeze(flow, laneOf(flow, input, other) as Lane, `${op} parts or mixes them`);
      continue;
    }
    setLane(flow, output, target, flattened(lane, from, fromAxes, axis));
  }
}

/** The lane of the axis that several become, of which one has channels. */
function flattened(lane: Lane, shape: readonly number[], axes: readonly number[], axis: number): Lane {
  const product = (some: readonly number[]) => some.reduce((all, at) => all * (shape[at] ?? 1), 1);
  const inner = product(axes.filter((at) => at > axis));
  const total = product(axes);
  return Array.from({ length: total }, (_, i) => lane[Math.floor(i / inner) % lane.length] as number);
}

function matchedRuns(from: readonly number[], to: readonly number[]): [number[], number[]][] {
  const runs: [number[], number[]][] = [];
  let [i, j] = [0, 0];
  while (i < from.length || j < to.length) {
    const run: [number[], number[]] = [[], []];
    let [a, b] = [1, 1];
    do {
      if (i < from.length && (a <= b || j >= to.length)) {
        a *= from[i] ?? 1;
        run[0].push(i++);
      } else if (j < to.length) {
        b *= to[j] ?? 1;
        run[1].push(j++);
      }
    } while ((a !== b || run[0].length === 0 || run[1].length === 0) && (i < from.length || j < to.length));
    runs.push(run);
  }
  return runs;
}
