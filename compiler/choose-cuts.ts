/**
 * From a model to the boundaries worth deploying: candidates measured piece by piece, sets of them ranked by what they
 * promise, and the most promising ones timed again as the chains they would be, for pieces fuse less than chains do.
 */
import { TandemError } from '../shared/errors.ts';
import { twoSizes } from './cut/boundary-specs.ts';
import { type Candidate, type Choice, type Ends, expectedMs, type Profile, rankCuts } from './cut/choose.ts';
import { buildProvenChain } from './cut/proven-chain.ts';
import type { Chain } from './cut/segments.ts';
import { type CandidatesRequest, measureCandidates } from './measure/candidates.ts';
import { type ChainTimes, timeChains } from './measure/chain-times.ts';

export interface ChooseRequest extends CandidatesRequest {
  /** Boundaries to choose at most, K-1. */
  readonly count: number;
  readonly profiles: readonly Profile[];
}

/** Times in milliseconds: expectations over profiles of the best cut. */
export interface TriedSet extends Choice {
  /** With the times of the set's own chain; `expectedMs` is what its pieces promised. */
  readonly timedMs: number;
}

export interface ChosenCuts {
  /** What it was asked for; the same question has the same answer. */
  readonly key: string;
  readonly candidates: readonly Candidate[];
  /** Shallow to deep, with the times of their own chain. */
  readonly chosen: readonly Candidate[];
  /** Sets that were timed as chains, the best first: the first is the chosen one. */
  readonly tried: readonly TriedSet[];
  readonly withoutMs: number;
  /** As the pieces promise: with every candidate deployed. */
  readonly withAllMs: number;
}

/** Sets that are timed as chains. */
const TRIED_MAX = 3;

/** @throws BAD_CUT where there is nowhere to cut, or only where nothing can be sent without losing more than is allowed */
export async function chooseCuts(request: ChooseRequest, key: string): Promise<ChosenCuts> {
  const { recipe, model, tensorsMax, accuracyDropMax, count, profiles } = request;
  const { candidates, ...ends } = await measureCandidates(request);
  if (candidates.length === 0) {
    throw new TandemError(
      'BAD_CUT',
      `${recipe.source} has no boundary of up to ${tensorsMax} tensors that can be sent and loses at most ` +
        `${accuracyDropMax} of ${recipe.metrics[0]?.name}: see tandem inspect --tensors 4, or name one with --cut`,
    );
  }
  const sets = rankCuts(candidates, ends, profiles, { count, keep: TRIED_MAX });
  const inputs = twoSizes(recipe.size).map(recipe.noise);
  const chains: Chain[] = [];
  for (const { chosen } of sets) {
    const cuts = chosen.map(({ tensors }) => tensors);
    chains.push(await buildProvenChain(model, cuts, request.server, inputs));
  }
  const times = await timeChains(request, chains);
  const tried = sets.map((choice, i): TriedSet => {
    const timed = retimed(choice.chosen, ends, times[i] as ChainTimes);
    return { ...choice, chosen: timed.chosen, timedMs: expectedMs(timed.chosen, timed.ends, profiles) };
  });
  tried.sort((a, b) => a.timedMs - b.timedMs);
  return {
    ...{ key, candidates, tried, chosen: tried[0]?.chosen ?? [] },
    withoutMs: expectedMs([], ends, profiles),
    withAllMs: expectedMs(candidates, ends, profiles),
  };
}

/** The same cuts with the times of the chain that they make. */
function retimed(
  chosen: readonly Candidate[],
  ends: Ends,
  { device, server }: ChainTimes,
): { chosen: Candidate[]; ends: Ends } {
  const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);
  const at = (cut: Candidate, k: number): Candidate => ({
    ...cut,
    headMs: sum(device.slice(0, k)),
    tailMs: sum(server.slice(k)),
  });
  return {
    chosen: chosen.map((cut, i) => at(cut, i + 1)),
    ends: { remote: at(ends.remote, 0), local: { ...ends.local, headMs: sum(device) } },
  };
}
