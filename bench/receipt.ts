/**
 * What a receipt costs the gateway: microseconds to hash a payload, write the receipt and sign it, and its bytes in a reply.
 * `node dist/bench/receipt.js`
 */
import { randomBytes, randomUUID } from 'node:crypto';
import { smallPlan } from '../client/testkit/small-plan.ts';
import { receiptKey, receiptSigner } from '../server/receipts.ts';
import { receiptOf } from '../shared/receipt.ts';

/** A bottleneck's boundary, WebP's, and a large one. */
const PAYLOAD_BYTES = [2_300, 20_000, 100_000];
const ROUNDS = 5;
const RUNS = 2000;

const time = () => new Date().toISOString();
const plan = smallPlan();
const signer = receiptSigner({ key: receiptKey(null, 'bench'), time, newId: randomUUID });
const sent = { plan: plan.id, k: 1, tier: 'q8', label: 'personal', noise: [] };
const signed = (parts: readonly Uint8Array[], bytes: number) =>
  signer.sign(signer.arrived(parts), receiptOf(plan, { ...sent, bytes }, { computed: 'yes', retained: true }));
for (const bytes of PAYLOAD_BYTES) {
  const parts = [randomBytes(bytes)];
  const us = Array.from({ length: ROUNDS }, () => {
    const startMs = performance.now();
    for (let run = 0; run < RUNS; run++) signed(parts, bytes);
    return ((performance.now() - startMs) / RUNS) * 1000;
  });
  const { text, signature } = signed(parts, bytes);
  const [median = 0] = us.sort((a, b) => a - b).slice(Math.floor(ROUNDS / 2));
  process.stdout.write(
    `${bytes} bytes: ${median.toFixed(0)} us, ${text.length + signature.length} bytes more in the reply\n`,
  );
}
