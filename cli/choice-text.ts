/** How cuts were chosen, as a terminal shows it: the candidates, the sets that were timed, and what they are worth. */
import type { Candidate, ChosenCuts } from '../compiler/index.ts';
import { formatTable, shorten } from './table.ts';

const NAME_WIDTH = 44;

export function choiceText({ candidates, chosen, tried, withoutMs, withAllMs }: ChosenCuts): string {
  const nameOf = ({ tensors }: Candidate) => tensors.join(' + ');
  const names = chosen.map(nameOf);
  const rows = candidates.map((candidate, i) => [
    String(i + 1),
    shorten(nameOf(candidate), NAME_WIDTH),
    candidate.headMs.toFixed(1),
    candidate.tailMs.toFixed(1),
    candidate.tier,
    String(Math.round(candidate.bytes)),
    (candidate.memoryBytes / 1e6).toFixed(1),
    names.includes(nameOf(candidate)) ? 'chosen' : '',
  ]);
  const placeOf = (cut: Candidate) => candidates.findIndex((one) => nameOf(one) === nameOf(cut)) + 1;
  const [best] = tried;
  const sets = tried.map((set) => [
    set.chosen.map(placeOf).join(', '),
    set.expectedMs.toFixed(1),
    set.timedMs.toFixed(1),
    `${((set.timedMs / (best?.timedMs ?? set.timedMs) - 1) * 100).toFixed(1)} %`,
  ]);
  return [
    formatTable(['', 'boundary', 'head ms', 'tail ms', 'tier', 'bytes', 'MB', ''], rows),
    '',
    formatTable(['set', 'promised ms', 'timed as a chain', 'over the best known'], sets),
    `expected ${(best?.timedMs ?? withoutMs).toFixed(1)} ms a request, ${withoutMs.toFixed(1)} ms uncut, ${withAllMs.toFixed(1)} ms with all ${candidates.length} (--cut says otherwise)`,
  ].join('\n');
}
