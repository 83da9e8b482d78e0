/**
 * The receipt of a request: what left the device for it, as the gateway received it, in a text that the gateway signs
 * (Ed25519, RFC 8032). The text is what is signed, byte for byte, so that nobody has to write it the same way again.
 */
import * as v from 'valibot';
import { amount, integer, parseAs, parseJson, sha256, text } from './parse.ts';
import { depthOf, namesAt, outputsBehind, type Plan } from './plan.ts';
import { NoisesSchema } from './policy/language.ts';
import { leakageOf } from './policy/leakage.ts';
import type { MessageOf } from './protocol/messages.ts';

const names = v.array(text());

const ReceiptSchema = v.object({
  /** Of this request, as the gateway's audit log has it. */
  id: text(64),
  /** When the gateway received it, in ISO 8601. */
  time: text(32),
  /** Name and id of the plan; no name where the gateway has no such plan. */
  model: v.nullable(text()),
  plan: sha256,
  /** Which boundary came, the names of its tensors as far as there is such a boundary, and how it was encoded. */
  k: integer(0),
  boundary: names,
  tier: text(32),
  label: text(64),
  /** Of the encoded tensors. */
  bytes: integer(0),
  /** SHA-256 of them, one after the other. */
  sha256,
  /** What the plan says that this boundary and tier give away of the input, 0 to 1; null where it is not measured. */
  leakage: v.nullable(amount),
  /**
   * Whether the answer was computed from it. `no`: it was refused, or taken out of the queue, before anything was decoded. `begun`: a
   * worker was at it, and may have computed the answer. Gateways that do not say sign for answers alone.
   */
  computed: v.optional(v.picklist(['no', 'begun', 'yes']), 'yes'),
  /** Outputs of the model that the gateway computed or was sent, and so has learned; of what was begun, that it may have. */
  disclosed: names,
  /** What the client said that it had added. The gateway cannot see whether it did. */
  noisePromised: NoisesSchema,
  /** Whether the gateway may have written down that this request was there. Of its content it writes down nothing. */
  retained: v.boolean(),
});

export type Receipt = v.InferOutput<typeof ReceiptSchema>;

/** A receipt as users keep it and show it. */
export interface SignedReceipt {
  readonly receipt: Receipt;
  /** The receipt as JSON: what is signed. */
  readonly text: string;
  /** Base64. */
  readonly signature: string;
  /** Base64 of the gateway's public key, as the gateway said it. Who knows it from elsewhere checks with that. */
  readonly key: string;
}

/** What a request says of itself, as its receipt repeats it. */
export type Sent = Pick<MessageOf<'infer'>, 'plan' | 'k' | 'tier' | 'label' | 'noise'> & { readonly bytes: number };

/** What became of it. */
export type Fate = Pick<Receipt, 'computed' | 'retained'>;

/**
 * What all receipts of these requests say; the gateway adds who, when and the hash.
 * @param plan the one that the request names, where there is one
 */
export function receiptOf(plan: Plan | undefined, { plan: id, k, tier, label, noise, bytes }: Sent, fate: Fate) {
  // Of a boundary that there is not, so many bytes are all that is known, and nothing was made of them.
  const known = plan && k < depthOf(plan) ? plan : null;
  const computed = known ? fate.computed : 'no';
  const boundary = known ? namesAt(known, k) : [];
  const made = known && computed !== 'no' ? outputsBehind(known, k) : [];
  // An output that was made before may cross the boundary, for segments that read it.
  const learned = [...boundary, ...made.map(({ name }) => name)];
  return {
    ...{ model: plan?.name ?? null, plan: id, k, tier, label, bytes, boundary },
    leakage: (known && leakageOf(known, k, tier)) ?? null,
    computed,
    disclosed: known ? namesAt(known, depthOf(known)).filter((name) => learned.includes(name)) : [],
    noisePromised: noise,
    retained: fate.retained,
  };
}

/** The receipt of a text. Throws BAD_MESSAGE. */
export function parseReceipt(json: string): Receipt {
  return parseAs(ReceiptSchema, parseJson(json, 'BAD_MESSAGE', 'receipt'), 'BAD_MESSAGE', 'receipt');
}

/** Whether it says of what was sent all that the plan and the request say of it, and no more was retained than was allowed. */
export function isReceiptOf(receipt: Receipt, plan: Plan, sent: Sent & Pick<MessageOf<'infer'>, 'retain'>): boolean {
  const { model, retained } = receipt;
  const due = Object.entries(receiptOf(model === null ? undefined : plan, sent, receipt));
  const isSame = ([key, value]: (typeof due)[number]) =>
    JSON.stringify(receipt[key as keyof Receipt]) === JSON.stringify(value);
  return (sent.retain || !retained) && due.every(isSame);
}
