/** A plan out of a file that the command line names. */
import { readFile } from 'node:fs/promises';
import { parseJson } from '../shared/parse.ts';
import type { Plan } from '../shared/plan.ts';
import { parsePlan } from '../shared/plan-schema.ts';
import { unreadable } from './unreadable.ts';

/** Rejects with NOT_FOUND or BAD_PLAN. */
export async function readPlan(path: string): Promise<Plan> {
  const text = await readFile(path, 'utf8').catch(unreadable(path));
  return parsePlan(parseJson(text, 'BAD_PLAN', path), path);
}
