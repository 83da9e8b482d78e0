/** A plan as the fake gateway serves it: with files that hold no model, as large as it says, and hashes that are true. */
import { createHash } from 'node:crypto';
import type { Plan } from '../../shared/plan.ts';
import { planContract } from '../../shared/plan-contract.ts';

/** The device target whose files are served: the default of browsers and of Node. */
export const TARGET = 'wasm';
const SEGMENT_BYTES = 100;

export interface ServedPlan {
  readonly plan: Plan;
  /** By SHA-256: segments, whose first byte is the number of the segment, and assets. */
  readonly files: ReadonlyMap<string, Uint8Array>;
  /** SHA-256 of each segment. */
  readonly segments: readonly string[];
}

/** @param assets contents of files that the plan lists under `assets`, or is to list */
export function servedPlan(plan: Plan, assets: Readonly<Record<string, Uint8Array | string>> = {}): ServedPlan {
  const files = new Map<string, Uint8Array>();
  const add = (file: string, bytes: Uint8Array) => {
    const sha256 = sha256Of(bytes);
    files.set(sha256, bytes);
    return { file, sha256, bytes: bytes.byteLength };
  };
  const segments = plan.segments.map((segment, k) => {
    const known = segment.targets[TARGET];
    const bytes = new Uint8Array(known?.bytes ?? SEGMENT_BYTES);
    bytes[0] = k + 1;
    const file = add(known?.file ?? `${k + 1}.${TARGET}.onnx`, bytes);
    return {
      ...segment,
      targets: { [TARGET]: { ...file, recipe: 'none', recipeSha256: known?.recipeSha256 ?? '0'.repeat(64) } },
    };
  });
  const given = Object.entries(assets).map(([name, content]) => {
    const bytes = typeof content === 'string' ? new TextEncoder().encode(content) : content;
    return [name, add(plan.assets[name]?.file ?? name, bytes)];
  });
  const blank = Object.entries(plan.assets).map(([name, { file, bytes }]) => [name, add(file, new Uint8Array(bytes))]);
  const served = { ...plan, segments, assets: { ...Object.fromEntries(blank), ...Object.fromEntries(given) } };
  return {
    plan: { ...served, id: sha256Of(planContract(served)) },
    files,
    segments: segments.map(({ targets }) => targets[TARGET]?.sha256 ?? ''),
  };
}

export function sha256Of(content: Uint8Array | string): string {
  return createHash('sha256').update(content).digest('hex');
}
