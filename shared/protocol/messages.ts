/**
 * The messages, as types and as the one parser for each direction. PROTOCOL.md tells when each may be sent; frames.ts
 * how they become bytes.
 */
import * as v from 'valibot';
import { type ErrorCode, isErrorCode } from '../errors.ts';
import { amount, integer, parseAs, text } from '../parse.ts';
import { DEPTH_MAX } from '../plan-schema.ts';
import { LABELS_MAX, NetworksSchema, NoisesSchema, OVERRIDES_MAX, TermsSchema } from '../policy/language.ts';
import {
  DEADLINE_MS_MAX,
  ERROR_MESSAGE_MAX,
  PARTS_MAX,
  RANK_MAX,
  RECEIPT_LENGTH_MAX,
  USAGE_COUNT_MAX,
  USAGE_ENTRIES_MAX,
} from './limits.ts';
import { TRACEPARENT } from './traceparent.ts';

const requestId = integer(1, 2 ** 32 - 1);
const planId = v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/));
const shapes = v.pipe(v.array(v.pipe(v.array(integer(0, 2 ** 31 - 1)), v.maxLength(RANK_MAX))), v.maxLength(PARTS_MAX));
/** Byte length of each part of the payload, in order. */
const parts = v.pipe(v.array(integer(0, 2 ** 31 - 1)), v.maxLength(PARTS_MAX));
const errorCode = v.custom<ErrorCode>(isErrorCode, 'expected a code of the error table');

const Load = v.object({
  /** Requests waiting for a worker. */
  queueDepth: integer(0),
  /** How long a request that came now would wait, in milliseconds, as far as the gateway can tell. */
  queueMs: amount,
});

const Hello = v.object({
  type: v.literal('hello'),
  /** Software and version, for logs. */
  client: text(),
  /** Who it is. null for an anonymous client. */
  token: v.nullable(text(4096)),
  /** Whether results, and errors of requests, are to come with a receipt. */
  receipts: v.boolean(),
});
const Infer = v.object({
  type: v.literal('infer'),
  id: requestId,
  plan: planId,
  k: integer(0, DEPTH_MAX),
  tier: text(32),
  /** Privacy class of the request. */
  label: text(64),
  /** What the client says that it added to the values before it encoded them. */
  noise: NoisesSchema,
  /** false: the client's own policy wants nothing of this request written down. */
  retain: v.boolean(),
  /** Time that the client still gives, in milliseconds. */
  deadlineMs: integer(1, DEADLINE_MS_MAX),
  /** W3C trace context, a `traceparent` of version 00, or null. */
  trace: v.nullable(v.pipe(v.string(), v.regex(TRACEPARENT))),
  shapes,
  parts,
});
const Cancel = v.object({ type: v.literal('cancel'), id: requestId });
const Ping = v.object({
  type: v.literal('ping'),
  id: requestId,
  /** Requests finished since the last report, by how deep the device went, so that the operator sees offload rates. */
  usage: v.pipe(
    v.array(v.object({ plan: planId, k: integer(0, DEPTH_MAX), count: integer(1, USAGE_COUNT_MAX) })),
    v.maxLength(USAGE_ENTRIES_MAX),
  ),
});

/** A label's own, and its overrides by region and by tenant. */
const TERMS_MAX = 1 + 2 * OVERRIDES_MAX;

const Welcome = v.object({
  type: v.literal('welcome'),
  /** Software and version, for logs. */
  server: text(),
  limits: v.object({ frameBytesMax: integer(1), inFlightMax: integer(1), idleTimeoutMs: integer(1) }),
  plans: v.array(v.object({ name: text(), id: planId })),
  /** Name of the client's credentials. */
  tenant: text(64),
  /** Where the gateway is, in its operator's words; null where they have not said. */
  region: v.nullable(text(64)),
  /** Labels that this client may use, with the gateway's terms: all of these, and those of the client's network. */
  labels: v.pipe(
    v.array(
      v.object({
        label: text(64),
        terms: v.pipe(v.array(TermsSchema), v.minLength(1), v.maxLength(TERMS_MAX)),
        networks: NetworksSchema,
      }),
    ),
    v.maxLength(LABELS_MAX),
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

const ClientMessageSchema = v.variant('type', [Hello, Infer, Cancel, Ping]);
const ServerMessageSchema = v.variant('type', [Welcome, Result, Failure, Pong, GoAway]);

export type ClientMessage = v.InferOutput<typeof ClientMessageSchema>;
export type ServerMessage = v.InferOutput<typeof ServerMessageSchema>;
export type Message = ClientMessage | ServerMessage;
/** One message by its type. */
export type MessageOf<T extends Message['type']> = Extract<Message, { type: T }>;
export type Load = v.InferOutput<typeof Load>;

/** Throws BAD_MESSAGE. */
export function parseClientMessage(header: unknown): ClientMessage {
  return parseAs(ClientMessageSchema, header, 'BAD_MESSAGE', 'message from the client');
}

/** Throws BAD_MESSAGE. */
export function parseServerMessage(header: unknown): ServerMessage {
  return parseAs(ServerMessageSchema, header, 'BAD_MESSAGE', 'message from the server');
}
