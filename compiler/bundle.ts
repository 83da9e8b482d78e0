/** Writing a bundle to disk: plan.json and the files it names. Written aside and renamed, so that half a bundle never stands. */
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { type Plan, type PlanFile, planContract } from '../shared/plan.ts';

export function sha256(bytes: Uint8Array | string): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** The plan with its id, which is the hash of its contract. */
export function withPlanId(plan: Omit<Plan, 'id'>): Plan {
  return { ...plan, id: sha256(planContract(plan)) };
}

/** How a plan refers to a file. */
export function planFile(file: string, bytes: Uint8Array): PlanFile {
  return { file, sha256: sha256(bytes), bytes: bytes.byteLength };
}

/** Replaces whatever `dir` held. Nothing is left beside it, whether it succeeds or not. */
export async function writeBundle(dir: string, files: ReadonlyMap<string, Uint8Array | string>): Promise<void> {
  const target = resolve(dir);
  await mkdir(dirname(target), { recursive: true });
  const aside = await mkdtemp(join(dirname(target), `.${basename(target)}-`));
  try {
    const fresh = join(aside, 'new');
    await mkdir(fresh);
    for (const [name, content] of files) await writeFile(join(fresh, name), content);
    const old = join(aside, 'old');
    await rename(target, old).catch(ignoreMissing);
    await rename(fresh, target).catch(async (error: unknown) => {
      await rename(old, target).catch(ignoreMissing);
      throw error;
    });
  } finally {
    await rm(aside, { recursive: true, force: true });
  }
}

function ignoreMissing(error: NodeJS.ErrnoException): void {
  if (error.code !== 'ENOENT') throw error;
}
