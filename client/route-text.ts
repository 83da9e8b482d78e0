/** What left the device for a request, in words: all of it, not only what there is a receipt for. */
import { describeReceipt } from '../shared/receipt-text.ts';
import type { Route } from './types.ts';

/** In a few sentences, for the user whose data it was. Takes the routes of `diagnostics` as well, of failed requests too. */
export function describeRoute({
  sent,
  bytesUp,
  label,
  tier = null,
  receipt = null,
}: Pick<Route, 'sent' | 'bytesUp' | 'label'> & Partial<Pick<Route, 'tier' | 'receipt'>>): string {
  if (sent.length === 0) return 'Nothing left this device for this request.';
  const all = sent.map(
    ({ k, tier: as, noise, bytes, outcome }) =>
      `${k === 0 ? 'the input' : `boundary ${k}`} as ${as}${noise.length > 0 ? ' with noise' : ''} (${bytes} bytes, ${outcome})`,
  );
  const without =
    tier === null
      ? 'No reply was used: there is no receipt.'
      : 'The reply is the answer, and there is no receipt for it.';
  const others = receipt && sent.length > 1 ? ' There is no receipt for the rest.' : '';
  return (
    `${bytesUp} bytes left this device under the label ${label}: ${all.join('; ')}. ` +
    (receipt ? `${describeReceipt(receipt.receipt)}${others}` : without)
  );
}
