/**
 * Reading a bundle, wherever it lies: a folder or a web server. Everything is checked against hashes on the way in,
 * the plan against its own id and each file against the plan.
 */
import { TandemError } from './errors.ts';
import { parseJson } from './parse.ts';
import type { Plan, PlanFile } from './plan.ts';
import { planContract } from './plan-contract.ts';
import { parsePlan } from './plan-schema.ts';
import { PLAN_HEAD_FILE } from './protocol/paths.ts';

export const PLAN_FILE = 'plan.json';
/**
 * At which level gateways compress files with brotli. 8-bit weights get 2 % smaller at 11, which takes 30 times as
 * long; weights of few values would get a sixth smaller, and are packed by the compiler instead.
 */
export const SERVED_BROTLI_LEVEL = 5;

/** IO as an argument. */
export interface BundleSource {
  /** Where it is, for errors: a path or a URL. */
  readonly name: string;
  /** SHA-256 that the text of its plan has to have, in hex. */
  readonly planSha256?: string | undefined;
  /** Rejects with a TandemError where the file is not to be had. */
  text(file: string): Promise<string>;
  bytes(file: PlanFile): Promise<Uint8Array>;
  /** SHA-256 in lower-case hex. */
  sha256(content: Uint8Array | string): Promise<string>;
}

/** Throws BAD_PLAN for a plan that is broken, is not the one that is pinned, or whose id is not the hash of its contract. */
export async function readPlan(source: BundleSource): Promise<Plan> {
  return planOf(source, await source.text(PLAN_FILE));
}

/** The same, of the text of a source's plan. */
export async function planOf(source: Omit<BundleSource, 'text' | 'bytes'>, text: string): Promise<Plan> {
  const what = `${source.name}/${PLAN_FILE}`;
  const { planSha256: pinned } = source;
  const sha256 = pinned === undefined ? undefined : await source.sha256(text);
  if (sha256 !== pinned)
    throw new TandemError('BAD_PLAN', `${what}: expected a plan of SHA-256 ${pinned}, got ${sha256}`);
  const plan = parsePlan(parseJson(text, 'BAD_PLAN', what), what);
  if ((await source.sha256(planContract(plan))) !== plan.id) {
    throw new TandemError('BAD_PLAN', `${what}: the id is not the hash of the plan's contract: it was edited by hand`);
  }
  return plan;
}

/** Throws BAD_PLAN for one that is broken; whether it is of the plan that it says only the whole plan tells. */
export async function readPlanHead(source: BundleSource): Promise<Plan> {
  const what = `${source.name}/${PLAN_HEAD_FILE}`;
  return parsePlan(parseJson(await source.text(PLAN_HEAD_FILE), 'BAD_PLAN', what), what);
}

/** Throws BAD_BUNDLE where the bytes are not those that the plan names. */
export async function readPlanFile(source: BundleSource, file: PlanFile): Promise<Uint8Array> {
  const bytes = await source.bytes(file);
  if ((await source.sha256(bytes)) !== file.sha256) {
    throw new TandemError('BAD_BUNDLE', `${source.name}/${file.file} is not the file of the plan: its SHA-256 differs`);
  }
  return bytes;
}
