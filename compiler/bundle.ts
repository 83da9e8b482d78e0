/** Writing a bundle to disk: plan.json and the files it names. Written aside and renamed, so that half a bundle never stands. */
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, realpath, rename, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { PLAN_FILE } from '../shared/bundle.ts';
import { asTandemError, TandemError } from '../shared/errors.ts';
import type { Plan, PlanFile } from '../shared/plan.ts';
import { planContract } from '../shared/plan-contract.ts';
import { REPORT_FILE } from './report/page.ts';

/** Name of the file, beside the plan, that a model's folder may commit as its measurements. */
export const RECORD_FILE = 'measured.json';

/** Name of the file that says how the cuts were chosen, where nobody named them. */
export const CHOICE_FILE = 'choice.json';

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

/** Makes the folder that `dir` lies in. Throws USAGE where a bundle cannot be written there, or not without deleting what is none. */
export async function assertReplaceable(dir: string): Promise<void> {
  try {
    await mkdir(dirname(resolve(dir)), { recursive: true });
    await rm(await folderBeside(await targetOf(dir)), { recursive: true });
  } catch (error) {
    throw asTandemError(error, 'USAGE', `cannot write a bundle to ${dir}`);
  }
  const names = await readdir(dir).catch((error: NodeJS.ErrnoException): string[] => {
    if (error.code === 'ENOENT') return [];
    throw new TandemError('USAGE', `cannot write a bundle to ${dir}: ${error.message}`, { cause: error });
  });
  const own = await bundleFiles(dir);
  const other = names.find((name) => !own.has(name));
  if (other === undefined) return;
  throw new TandemError(
    'USAGE',
    `expected a new folder, an empty one or a bundle to replace, got ${dir}, which holds other files: ${other}`,
  );
}

/** Names of a bundle's files, as its plan has them, of whatever version; none where it is no bundle. */
async function bundleFiles(dir: string): Promise<ReadonlySet<string>> {
  try {
    const plan: unknown = JSON.parse(await readFile(join(dir, PLAN_FILE), 'utf8'));
    if (typeof plan !== 'object' || plan === null || !('segments' in plan)) return new Set();
    return new Set([PLAN_FILE, RECORD_FILE, REPORT_FILE, CHOICE_FILE, ...namedFiles(plan)]);
  } catch {
    return new Set();
  }
}

function namedFiles(value: unknown): string[] {
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, inner]) =>
    key === 'file' && typeof inner === 'string' ? [inner] : namedFiles(inner),
  );
}

/**
 * Replaces the bundle in `dir`, if there is one. Nothing is left beside it, whether it succeeds or not.
 * @throws USAGE where `dir` holds something else or cannot be written to
 */
export async function writeBundle(dir: string, files: ReadonlyMap<string, Uint8Array | string>): Promise<void> {
  await assertReplaceable(dir);
  try {
    await replaceFolder(await targetOf(dir), files);
  } catch (error) {
    throw asTandemError(error, 'USAGE', `cannot write a bundle to ${dir}`);
  }
}

/** A link is followed: what it leads to is replaced, not the link. */
function targetOf(dir: string): Promise<string> {
  return realpath(dir).catch(() => resolve(dir));
}

/** An empty one, from which files are renamed into place. */
function folderBeside(target: string): Promise<string> {
  return mkdtemp(join(dirname(target), `.${basename(target)}-`));
}

async function replaceFolder(target: string, files: ReadonlyMap<string, Uint8Array | string>): Promise<void> {
  const aside = await folderBeside(target);
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
