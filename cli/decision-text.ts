/** Decisions as a terminal shows them: what was weighed with its figures, and what was left out with the reason. */
import type { Choice } from '../shared/schedule/cost.ts';
import type { Decision } from '../shared/schedule/decide.ts';
import type { Replayed } from './decision-log.ts';
import { formatTable } from './table.ts';

export function nameOf(choice: Choice | null): string {
  if (!choice) return 'nothing';
  return choice.tier === null ? 'all on the device' : `k = ${choice.k} as ${choice.tier}`;
}

/** One line a decision. */
export function listText(all: readonly Replayed[]): string {
  const rows = all.map(({ line, record, differences }) => [
    ...[String(line), String(record.snapshot.at), nameOf(record.chosen), record.said?.by ?? '-'],
    ...[interval(record.said?.predicted), differences.length === 0 ? 'yes' : `NO: ${differencesText(differences)}`],
  ]);
  return formatTable(['line', 'at', 'chosen', 'by', 'expected ms', 'again, bit by bit'], rows);
}

const DIFFERENCES_SHOWN = 3;

function differencesText(differences: Replayed['differences']): string {
  const shown = differences.slice(0, DIFFERENCES_SHOWN).map(({ name, was, is }) => `${name} was ${was}, is ${is}`);
  const more = differences.length - shown.length;
  return [...shown, ...(more > 0 ? [`${more} more`] : [])].join('; ');
}

/** All that was weighed, as it is weighed again. */
export function accountText({ line, plan, record, again, differences }: Replayed): string {
  const { snapshot } = record;
  const isChosen = ({ k, tier }: Choice) => again.chosen?.k === k && again.chosen.tier === tier;
  const rows = again.candidates.map(({ k, tier, score, predicted }) => [
    ...[String(k), tier ?? '-', predicted.totalMs.toFixed(1), interval(predicted)],
    ...[predicted.aheadMs + predicted.deviceMs, predicted.encodeMs, predicted.uplinkMs, predicted.roundTripMs].map(ms),
    ...[predicted.wakeMs, predicted.queueMs, predicted.serverMs, predicted.downlinkMs].map(ms),
    ...[String(Math.round(predicted.bytes)), predicted.joules.toFixed(2), score.toFixed(1)],
    isChosen({ k, tier }) ? 'chosen' : '',
  ]);
  const head = ['k', 'tier', 'expected ms', 'nine in ten', 'device', 'encode', 'up', 'round trip', 'wake', 'queue'];
  return [
    `line ${line}: ${plan.name}, size ${snapshot.size}, at boundary ${snapshot.at}: ${nameOf(again.chosen)}, ${WHY[again.by]}`,
    formatTable([...head, 'server', 'down', 'bytes', 'J', 'score', ''], rows),
    ...again.removed.map(({ k, tier, reason }) => `not k = ${k}${tier === null ? '' : `, ${tier}`}: ${reason}`),
    differences.length === 0 ? 'The same as it was, bit by bit.' : `NOT as it was: ${differencesText(differences)}`,
  ].join('\n');
}

const WHY: Readonly<Record<Decision['by'], string>> = {
  best: 'the best',
  kept: 'as before: the best is hardly better',
  explored: 'to find out whether it is better than it looks',
  likeliest: 'the likeliest to meet the deadline',
};

function ms(value: number): string {
  return value.toFixed(1);
}

function interval(predicted: { readonly lowMs: number; readonly highMs: number } | undefined): string {
  return predicted ? `${ms(predicted.lowMs)} to ${ms(predicted.highMs)}` : '-';
}
