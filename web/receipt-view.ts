/** Shows what left the device for a request, as the gateway signed it. */
import { describeReceipt, type Route, type SignedReceipt, TandemError, verifyReceipt } from 'tandem/client';
import { byId } from './dom.ts';

export async function showReceipt({ receipt, sent, bytesUp }: Route): Promise<void> {
  byId('receipt-details').hidden = receipt === null;
  byId('receipt').textContent = receipt ? describeReceipt(receipt.receipt) : withoutReceipt(sent.length, bytesUp);
  if (!receipt) return;
  byId('receipt-text').textContent = JSON.stringify(receipt.receipt, null, 2);
  byId('receipt-check').textContent = `Receipt, ${await verdictOn(receipt)}`;
}

function withoutReceipt(count: number, bytes: number): string {
  if (count === 0) return 'Nothing left this device for this answer.';
  return `${bytes} bytes left this device, and no reply to them was used: there is no receipt for that.`;
}

async function verdictOn(receipt: SignedReceipt): Promise<string> {
  try {
    return (await verifyReceipt(receipt)) ? 'signed by the gateway' : 'NOT what the gateway signed';
  } catch (error) {
    if (error instanceof TandemError) return 'signed by the gateway; this browser cannot check that';
    throw error;
  }
}
