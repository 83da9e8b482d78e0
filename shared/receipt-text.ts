/** A receipt in words. Apart from receipt.ts, so that showing one loads no schema. */
import type { Receipt } from './receipt.ts';

/** In a few sentences, for the user whose data it was: of the one boundary that the gateway signed for. `describeRoute` says all. */
export function describeReceipt({ k, boundary, tier, bytes, label, leakage, computed, disclosed }: Receipt): string {
  const what = k === 0 ? 'the input' : `boundary ${k}${boundary.length > 0 ? ` (${boundary.join(', ')})` : ''}`;
  // What an attack found; a better one may find more.
  const share = leakage === 1 ? 'all' : `at least ${Number((100 * (leakage ?? 0)).toPrecision(3))} %`;
  const given = leakage === null ? 'an amount that is not measured' : share;
  return (
    `The gateway received ${bytes} bytes: ${what} as ${tier}, under the label ${label}. ` +
    `Of the input they give away ${given}. ` +
    `${computed === 'no' ? 'It computed nothing from them. ' : ''}` +
    `Of the answer the gateway ${computed === 'begun' ? 'may have' : 'has'} learned: ${disclosed.join(', ') || 'nothing'}.`
  );
}
