/** What the gateway says, and the client's parser of it. PROTOCOL.md tells when each may be said. */
import * as v from 'valibot';
import { isErrorCode } from '../errors.ts';
import { amount, integer, list, parseAs, sha256, text } from '../parse.ts';
import { LABELS_MAX, NetworksSchema, OVERRIDES_MAX, TermsSchema } from '../policy/language.ts';
import { ERROR_MESSAGE_MAX, RECEIPT_LENGTH_MAX } from './limits.ts';
import { parts, requestId, shapes } from './message-parts.ts';

const errorCode = v.pipe(v.string(), v.guard(isErrorCode, 'expected a code of the error table'));

const Load = v.object({
  /** Requests waiting for a worker. */
  queueDepth: integer(0),
  /** How long a request that came now would wait, in milliseconds, as far as the gateway can tell. */
  queueMs: amount,
});

/** A label's own, and its overrides by region and by tenant. */
const TERMS_MAX = 1 + 2 * OVERRIDES_MAX;

const Welcome = v.object({
  type: v.literal('welcome'),
  /** Software and version, for logs. */
  server: text(),
  limits: v.object({ frameBytesMax: integer(1), inFlightMax: integer(1), idleTimeoutMs: integer(1) }),
  plans: v.array(v.object({ name: text(), id: sha256 })),
  /** Name of the client's credentials. */
  tenant: text(64),
  /** Where the gateway is, in its operator's words; null where they have not said. */
  region: v.nullable(text(64)),
  /** Labels that this client may use, with the gateway's terms: all of these, and those of the client's network. */
  labels: list(
    v.object({ label: text(64), terms: list(TermsSchema, TERMS_MAX, 1), networks: NetworksSchema }),
    LABELS_MAX,
  ),
  /** What receipts are signed with: an Ed25519 public key, 32 bytes as base64; null where none are given. */
  receiptKey: v.nullable(v.pipe(v.string(), v.length(44))),
  load: Load,
});
/** The signed text of receipt.ts, and the signature as base64; null where the client wants none. */
const Receipt = v.nullable(v.object({ text: text(RECEIPT_LENGTH_MAX), signature: v.pipe(v.string(), v.length(88)) }));
const Result = v.object({
  type: v.literal('result'),
  id: requestId,
  shapes,
  parts,
  timing: v.object({
    /** Waiting for a worker, decoding the boundary, running segments k+1..K: milliseconds. */
    queueMs: amount,
    decodeMs: amount,
    computeMs: amount,
    /** From the whole frame received to the reply handed to the socket. */
    totalMs: amount,
  }),
  receipt: Receipt,
  load: Load,
});
const Failure = v.object({
  type: v.literal('error'),
  /** The request that failed, or null where the connection did. */
  id: v.nullable(requestId),
  code: errorCode,
  message: text(ERROR_MESSAGE_MAX),
  retryAfterMs: v.nullable(amount),
  /** Of what was received all the same. Gateways of earlier versions sign results alone. */
  receipt: v.optional(Receipt, null),
});
const Pong = v.object({ type: v.literal('pong'), id: requestId, load: Load });
const GoAway = v.object({
  type: v.literal('goaway'),
  /** How long requests under way are still served, in milliseconds. */
  graceMs: amount,
  reason: text(),
});

const ServerMessageSchema = v.variant('type', [Welcome, Result, Failure, Pong, GoAway]);
export type ServerMessage = v.InferOutput<typeof ServerMessageSchema>;
export type Load = v.InferOutput<typeof Load>;

/** Throws BAD_MESSAGE. */
export function parseServerMessage(header: unknown): ServerMessage {
  return parseAs(ServerMessageSchema, header, 'BAD_MESSAGE', 'message from the server');
}
