/** What clients say, and the gateway's parser of it. PROTOCOL.md tells when each may be said. */
import * as v from 'valibot';
import { integer, like, list, parseAs, sha256, text } from '../parse.ts';
import { DEPTH_MAX } from '../plan-schema.ts';
import { NoisesSchema } from '../policy/language.ts';
import { DEADLINE_MS_MAX, USAGE_COUNT_MAX, USAGE_ENTRIES_MAX } from './limits.ts';
import { parts, requestId, shapes } from './message-parts.ts';
import { TRACEPARENT } from './traceparent.ts';

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
  plan: sha256,
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
  trace: v.nullable(like(TRACEPARENT)),
  shapes,
  parts,
});
const Cancel = v.object({ type: v.literal('cancel'), id: requestId });
const Ping = v.object({
  type: v.literal('ping'),
  id: requestId,
  /** Requests finished since the last report, by how deep the device went, so that the operator sees offload rates. */
  usage: list(
    v.object({ plan: sha256, k: integer(0, DEPTH_MAX), count: integer(1, USAGE_COUNT_MAX) }),
    USAGE_ENTRIES_MAX,
  ),
});

const ClientMessageSchema = v.variant('type', [Hello, Infer, Cancel, Ping]);
export type ClientMessage = v.InferOutput<typeof ClientMessageSchema>;

/** Throws BAD_MESSAGE. */
export function parseClientMessage(header: unknown): ClientMessage {
  return parseAs(ClientMessageSchema, header, 'BAD_MESSAGE', 'message from the client');
}
