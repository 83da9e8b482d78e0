/** `tandem replay LOG`: makes the decisions of a log again; exit 1 where one does not come out as it was, to the last bit. */
import { TandemError } from '../../shared/errors.ts';
import { readArguments, wholeNumber } from '../arguments.ts';
import { type Replayed, replayLog } from '../decision-log.ts';
import { accountText, listText } from '../decision-text.ts';
import { readPlan } from '../read-plan.ts';

export const usage = 'tandem replay LOG --plan F [--plan F]... [--show LINE] [--json]';

export async function run(argv: readonly string[]): Promise<number> {
  const { values, positionals } = readArguments(
    argv,
    { plan: { type: 'string', multiple: true }, show: { type: 'string' }, json: { type: 'boolean' } },
    ['LOG'],
  );
  const log = positionals[0] as string;
  if (values.plan === undefined) {
    throw new TandemError('USAGE', 'expected --plan F, the plan.json that the decisions were made for');
  }
  const line = wholeNumber(values.show, '--show');
  const plans = await Promise.all(values.plan.map(readPlan));
  const all: Replayed[] = [];
  for await (const one of replayLog(log, plans)) all.push(one);
  const shown = line === undefined ? all : all.filter((one) => one.line === line);
  if (shown.length === 0)
    throw new TandemError('USAGE', `expected --show a line with a decision, ${log} has none at ${line}`);
  const text = values.json
    ? JSON.stringify(
        shown.map((one) => (line === undefined ? summaryOf(one) : { ...summaryOf(one), ...accountOf(one) })),
      )
    : line === undefined
      ? `${listText(all)}\n${countText(log, all)}`
      : shown.map(accountText).join('\n');
  process.stdout.write(`${text}\n`);
  return shown.every(({ differences }) => differences.length === 0) ? 0 : 1;
}

function countText(log: string, all: readonly Replayed[]): string {
  const again = all.filter(({ differences }) => differences.length === 0);
  const bare = again.filter(({ record }) => record.chosen && !record.said).length;
  const earlier = bare > 0 ? ` (${bare} of an earlier version, by their choice alone)` : '';
  return `${log}: ${again.length} of ${all.length} decisions are made again, bit by bit${earlier}`;
}

function summaryOf({ line, plan, record, differences }: Replayed) {
  const { chosen, said = null, snapshot } = record;
  return { line, plan: plan.id, at: snapshot.at, chosen, said, isSame: differences.length === 0, differences };
}

function accountOf({ again: { by, chosen, candidates, removed } }: Replayed) {
  return { again: { by, chosen, candidates, removed } };
}
