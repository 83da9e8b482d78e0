/** What is legal in a configuration and still not meant: names that nothing bears, and doors that nobody can open. */
import { TandemError } from '../shared/errors.ts';
import type { Plan } from '../shared/plan.ts';
import { FLOOR_INPUT, FLOOR_LOCAL, unaliased } from '../shared/policy.ts';
import type { ServerConfig } from './config.ts';

/**
 * @returns what is odd and may be meant
 * @throws BAD_CONFIG for a floor that is a boundary of no plan, or a label that the policy does not know: they fail closed,
 *   and nothing would ever be sent
 */
export function checkAgainstPlans({ policy, credentials, origins }: ServerConfig, plans: readonly Plan[]): string[] {
  const tensors = new Set(
    plans.flatMap(({ boundaries }) => boundaries.flatMap((boundary) => boundary.tensors.map(({ name }) => name))),
  );
  for (const [label, floor] of Object.entries(policy.labels)) {
    if ([FLOOR_INPUT, FLOOR_LOCAL].includes(floor) || tensors.has(unaliased(policy, floor))) continue;
    throw new TandemError(
      'BAD_CONFIG',
      `policy.labels.${label}: expected ${FLOOR_INPUT}, ${FLOOR_LOCAL}, a boundary tensor of a plan or its alias, got ${floor}`,
    );
  }
  const holders = [
    ...(credentials.anonymous ? [{ where: 'credentials.anonymous', labels: credentials.anonymous.labels }] : []),
    ...credentials.tokens.map(({ name, labels }) => ({ where: `credentials.tokens ${name}`, labels })),
  ];
  for (const { where, labels } of holders) {
    const unknown = labels.find((label) => !Object.hasOwn(policy.labels, label));
    if (unknown === undefined) continue;
    const known = Object.keys(policy.labels).join(', ');
    throw new TandemError('BAD_CONFIG', `${where}: expected labels of the policy (${known}), got ${unknown}`);
  }
  const wrongOrigin = origins.find(
    (origin) => origin !== '*' && (!URL.canParse(origin) || new URL(origin).origin !== origin),
  );
  if (wrongOrigin !== undefined) {
    throw new TandemError(
      'BAD_CONFIG',
      `origins: expected * or an origin like https://app.example, got ${wrongOrigin}`,
    );
  }
  return holders.length === 0 ? ['credentials lets nobody in: no client can connect'] : [];
}
