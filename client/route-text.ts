/** What left the device for a request, in words: all of it, not only what there is a receipt for. */
import { describeReceipt } from '../shared/receipt-text.ts';
import type { Route } from './types.ts';

/** In a few sentences, for the user whose data it was. Takes the routes of `diagnostics` as well, of failed requests too. */
export function describeRoute({ sent, bytesUp }: Pick<Route, 'sent' | 'bytesUp'>): string {
  if (sent.length === 0) return 'Nothing left this device for this request.';
  const all = sent.map(
    ({ k, tier: as, noise, bytes, outcome }) =>
      `${k === 0 ? 'the input' : `boundary ${k}`} as ${as}${noise.length > 0 ? ' with noise' : ''} (${bytes} bytes, ${outcome})`,
  );
  const signed = sent.flatMap(({ receipt }) => (receipt ? [describeReceipt(receipt.receipt)] : []));
  const missing = sent.length - signed.length;
  const without = missing === 0 ? [] : [`There is no receipt for ${signed.length === 0 ? 'it' : 'the rest'}.`];
  const labels = [...new Set(sent.map(({ label }) => label))].join(' and ');
  const left = `${bytesUp} bytes left this device under the label ${labels}: ${all.join('; ')}.`;
  return [left, ...signed, ...without].join(' ');
}
