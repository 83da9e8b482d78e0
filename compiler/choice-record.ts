/** A choice of cuts as it is kept beside the bundle that it led to: the same question is not measured twice. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as v from 'valibot';
import { CHOICE_FILE, sha256 } from './bundle.ts';
import type { ChooseRequest, ChosenCuts } from './choose-cuts.ts';
import { recipeSha256 } from './measure/record.ts';

/** What a choice depends on, but the machine. */
export type ChoiceQuestion = Pick<ChooseRequest, 'recipe' | 'count' | 'tensorsMax' | 'accuracyDropMax' | 'profiles'> & {
  readonly target: string;
};

export function choiceKey(sourceSha256: string, { recipe, ...asked }: ChoiceQuestion): string {
  const metric = recipe.metrics[0]?.name;
  return sha256(JSON.stringify([sourceSha256, recipeSha256({ ...recipe, cuts: [] }), metric, asked]));
}

/** What an earlier run left in the folder that is compiled to, if it answers the same question. */
export async function keptChoice(outDir: string, key: string): Promise<ChosenCuts | undefined> {
  try {
    const choice: unknown = JSON.parse(await readFile(join(outDir, CHOICE_FILE), 'utf8'));
    return v.is(KeptSchema, choice) && choice.key === key ? choice : undefined;
  } catch {
    return undefined;
  }
}

const CandidateSchema = v.object({
  ...{ tensors: v.array(v.string()), tier: v.string() },
  ...{ headMs: v.number(), tailMs: v.number(), decodeMs: v.number(), bytes: v.number(), memoryBytes: v.number() },
});
const KeptSchema = v.object({
  key: v.string(),
  candidates: v.array(CandidateSchema),
  chosen: v.array(CandidateSchema),
  tried: v.array(v.object({ chosen: v.array(CandidateSchema), expectedMs: v.number(), timedMs: v.number() })),
  ...{ withoutMs: v.number(), withAllMs: v.number() },
});
