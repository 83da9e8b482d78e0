/** Running a chain: which tensors a segment takes from the boundary before it, and what the next boundary then holds. */
import { TandemError } from './errors.ts';
import { ownValue } from './own-value.ts';
import { namesAt, type Plan } from './plan.ts';
import type { Session } from './runtime.ts';
import type { Tensor, Tensors } from './tensor.ts';

/**
 * Runs segment k+1: boundary k's tensors in, boundary k+1's tensors out, and outputs of the model that are made by then.
 * @param live at least the tensors of boundary k, by name
 */
export async function runSegment(plan: Plan, session: Session, k: number, live: Tensors): Promise<Tensors> {
  const segment = plan.segments[k];
  if (!segment) throw new TandemError('BAD_BOUNDARY', `there is no segment behind boundary ${k}`);
  const made = await session.run(segmentInputs(plan, k, live));
  const all: Tensors = { ...live, ...made };
  // What only passes by is carried on; what nobody needs any more is let go.
  const next = k + 1 < plan.segments.length ? namesAt(plan, k + 1) : [];
  const outputs = namesAt(plan, plan.segments.length).filter((name) => Object.hasOwn(all, name));
  return Object.fromEntries([...next, ...outputs].map((name) => [name, pick(all, name)]));
}

/** What segment k+1 reads of boundary k. */
export function segmentInputs(plan: Plan, k: number, live: Tensors): Tensors {
  return Object.fromEntries((plan.segments[k]?.inputs ?? []).map((name) => [name, pick(live, name)]));
}

/** Throws BAD_BUNDLE where a loaded model is not segment k+1 of the plan: it reads or makes other tensors. */
export function checkSession(plan: Plan, session: Session, k: number): void {
  const segment = plan.segments[k];
  const reads = session.inputNames.every((name) => segment?.inputs.includes(name));
  const makes = segment?.outputs.every((name) => session.outputNames.includes(name));
  if (reads && makes) return;
  throw new TandemError(
    'BAD_BUNDLE',
    `expected segment ${k + 1} to make ${segment?.outputs} of ${segment?.inputs}, ` +
      `the file makes ${session.outputNames} of ${session.inputNames}`,
  );
}

/** Runs segments from+1..to. */
export async function runSegments(
  plan: Plan,
  sessions: readonly Session[],
  { from, to, tensors }: { from: number; to: number; tensors: Tensors },
): Promise<Tensors> {
  let live = tensors;
  for (let k = from; k < to; k++) {
    const session = sessions[k];
    if (!session) throw new TandemError('BAD_BOUNDARY', `segment ${k + 1} is not loaded`);
    live = await runSegment(plan, session, k, live);
  }
  return live;
}

/** The boundary's tensors in the plan's order, as codecs and frames want them. */
export function boundaryTensors(plan: Plan, k: number, live: Tensors): Tensor[] {
  return namesAt(plan, k).map((name) => pick(live, name));
}

function pick(tensors: Tensors, name: string): Tensor {
  const tensor = ownValue(tensors, name);
  if (!tensor) throw new TandemError('BAD_TENSOR', `expected a tensor called ${name}, got ${Object.keys(tensors)}`);
  return tensor;
}
