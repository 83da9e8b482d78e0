/** Shows what left the device for a request, and what the gateway signed of it. */
import { describeRoute, type Route, type SignedReceipt, TandemError, verifyReceipt } from 'tandem/client';
import { byId } from './dom.ts';

export async function showReceipt(route: Route): Promise<void> {
  const { receipt } = route;
  byId('receipt').textContent = describeRoute(route);
  byId('receipt-details').hidden = receipt === null;
  if (!receipt) return;
  byId('receipt-text').textContent = JSON.stringify(receipt.receipt, null, 2);
  byId('receipt-check').textContent = `Receipt, ${await verdictOn(receipt)}`;
}

async function verdictOn(receipt: SignedReceipt): Promise<string> {
  try {
    return (await verifyReceipt(receipt)) ? 'signed by the gateway' : 'NOT what the gateway signed';
  } catch (error) {
    if (error instanceof TandemError) return 'signed by the gateway; this browser cannot check that';
    throw error;
  }
}
