/** A receipt in words. Apart from receipt.ts, so that showing one loads no schema. */
import type { Receipt } from './receipt.ts';

/** In a sentence or two, for the user whose data it was. */
export function describeReceipt({ k, boundary, tier, bytes, label, leakage, disclosed }: Receipt): string {
  const what = k === 0 ? 'the input' : `boundary ${k} (${boundary.join(', ')})`;
  const given = leakage === null ? 'not measured' : `${Math.round(leakage * 100)} %`;
  return (
    `${bytes} bytes left this device: ${what} as ${tier}, under the label ${label}. ` +
    `Of the input they give away: ${given}. ` +
    `The gateway made the rest of the answer, so it knows it: ${disclosed.join(', ')}.`
  );
}
