/** Shows what left the device for a request, and what the gateway signed of it, also where that comes after the answer. */
import {
  describeRoute,
  type ReceiptDetail,
  type Route,
  type SentBoundary,
  type SignedReceipt,
  TandemError,
  verifyReceipt,
} from 'tandem/client';
import { byId } from './dom.ts';

export type Account = Pick<Route, 'sent' | 'bytesUp' | 'label'>;

export interface ReceiptView {
  show(account: Account): Promise<void>;
  /** A receipt has come: shown at once where it is of what is shown. */
  come(detail: ReceiptDetail): void;
}

export function receiptView(): ReceiptView {
  const signed = new WeakMap<SentBoundary, SignedReceipt>();
  let shown: Account | null = null;
  let shows = 0;
  const show = async (account: Account) => {
    shown = account;
    const own = ++shows;
    const sent = account.sent.map((each) => ({ ...each, receipt: each.receipt ?? signed.get(each) ?? null }));
    byId('receipt').textContent = describeRoute({ ...account, sent });
    const cards = await Promise.all(sent.flatMap(({ receipt }) => (receipt ? [cardOf(receipt)] : [])));
    // What was shown last is newer.
    if (own === shows) byId('receipts').replaceChildren(...cards);
  };
  return {
    show,
    come({ sent, receipt }) {
      signed.set(sent, receipt);
      if (shown?.sent.includes(sent)) void show(shown);
    },
  };
}

async function cardOf(receipt: SignedReceipt): Promise<HTMLElement> {
  const card = document.createElement('details');
  const summary = document.createElement('summary');
  summary.textContent = `Receipt, ${await verdictOn(receipt)}`;
  const text = document.createElement('pre');
  text.textContent = JSON.stringify(receipt.receipt, null, 2);
  card.append(summary, text);
  return card;
}

async function verdictOn(receipt: SignedReceipt): Promise<string> {
  try {
    return (await verifyReceipt(receipt)) ? 'signed by the gateway' : 'NOT what the gateway signed';
  } catch (error) {
    if (error instanceof TandemError) return 'signed by the gateway; this browser cannot check that';
    throw error;
  }
}
