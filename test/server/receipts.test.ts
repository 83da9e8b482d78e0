import { generateKeyPairSync } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { receiptKey, receiptSigner } from '../../server/receipts.ts';
import { isReceiptOf, parseReceipt, receiptOf } from '../../shared/receipt.ts';
import { describeReceipt } from '../../shared/receipt-text.ts';
import { samplePlan } from '../shared/sample-plan.ts';
import { tandemError } from '../shared/tandem-error.ts';

const plan = samplePlan();
const SENT = { plan: plan.id, k: 1, tier: 'q4', label: 'personal', noise: [], bytes: 5, retain: true };
const PARTS = [Uint8Array.of(1, 2), Uint8Array.of(3, 4, 5)];
const pemOf = (type: 'ed25519' | 'x25519') =>
  generateKeyPairSync(type as 'ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }) as string;

function signed(pem: string | null = null) {
  const signer = receiptSigner({ key: receiptKey(pem, 'key'), time: () => 'now', newId: () => 'one' });
  const fields = receiptOf(plan, SENT, { computed: 'yes', retained: true });
  return { ...signer.sign(signer.arrived(PARTS), fields), key: signer.publicKey };
}

describe('a signer', () => {
  test('keeps its key where it has one, and makes another each time where it has none', () => {
    const pem = pemOf('ed25519');
    expect(signed(pem).key).toBe(signed(pem).key);
    expect(signed(pem).signature).toBe(signed(pem).signature);
    expect(signed().key).not.toBe(signed().key);
  });

  test.each([
    ['no PEM', 'secret', 'got none that can be read'],
    ['a key of another kind', pemOf('x25519'), 'got one of x25519'],
  ])('refuses %s', (_, pem, message) => {
    expect(() => receiptKey(pem, 'tandem.json:3: receiptKey')).toThrow(
      tandemError('BAD_CONFIG', 'tandem.json:3: receiptKey: expected an Ed25519 key in PEM'),
    );
    expect(() => receiptKey(pem, '')).toThrow(tandemError('BAD_CONFIG', message));
  });
});

describe('a receipt', () => {
  test('is of what was sent, and of nothing else', () => {
    const receipt = parseReceipt(signed().text);
    expect(isReceiptOf(receipt, plan, SENT)).toBe(true);
    const noise = [{ type: 'gaussian', scale: 1 } as const];
    for (const changes of [
      { plan: 'b'.repeat(64) },
      { k: 2 },
      { tier: 'q8' },
      { label: 'public' },
      { bytes: 6 },
      { noise },
      { retain: false },
    ]) {
      expect(isReceiptOf(receipt, plan, { ...SENT, ...changes })).toBe(false);
    }
    const lies = [{ model: 'other' }, { boundary: ['b'] }, { leakage: 0 }, { disclosed: [] }, { noisePromised: noise }];
    for (const lie of lies) expect(isReceiptOf({ ...receipt, ...lie }, plan, SENT)).toBe(false);
    // Whatever became of it, what it says of that has to hold together.
    expect(isReceiptOf({ ...receipt, computed: 'begun' }, plan, SENT)).toBe(true);
    expect(isReceiptOf({ ...receipt, computed: 'no' }, plan, SENT)).toBe(false);
    expect(isReceiptOf({ ...receipt, computed: 'no', disclosed: [] }, plan, SENT)).toBe(true);
    // Less may be retained than was allowed.
    expect(isReceiptOf({ ...receipt, retained: false }, plan, SENT)).toBe(true);
    expect(isReceiptOf({ ...receipt, retained: false }, plan, { ...SENT, retain: false })).toBe(true);
  });

  test.each(['', '[]', '{}', JSON.stringify({ ...JSON.parse(signed().text), k: 'one' })])('is not %s', (text) => {
    expect(() => parseReceipt(text)).toThrow(tandemError('BAD_MESSAGE', 'receipt'));
  });

  test('says in words what left, and that who ran the rest knows the answer', () => {
    const receipt = parseReceipt(signed().text);
    expect(describeReceipt(receipt)).toBe(
      'The gateway received 5 bytes: boundary 1 (a) as q4, under the label personal. ' +
        'Of the input they give away an amount that is not measured. Of the answer the gateway has learned: y.',
    );
    expect(describeReceipt({ ...receipt, k: 0, leakage: 1 })).toMatch(/the input as q4.+ give away all\. /);
    expect(describeReceipt({ ...receipt, computed: 'begun' })).toMatch(
      /not measured\. Of the answer the gateway may have learned: y\.$/,
    );
    expect(describeReceipt({ ...receipt, computed: 'no', disclosed: [] })).toMatch(
      /It computed nothing from them\. Of the answer the gateway has learned: nothing\.$/,
    );
    // A lower bound: what little it is does not read as nothing.
    const shown = [0.304, 0.3044, 0.9996, 0.004, 0.00004, 0].map(
      (leakage) => /give away (.+ %)/.exec(describeReceipt({ ...receipt, leakage }))?.[1],
    );
    expect(shown).toEqual(['30.4 %', '30.4 %', '100 %', '0.4 %', '0.004 %', '0 %'].map((share) => `at least ${share}`));
  });
});
