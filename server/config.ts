/** The gateway's configuration: one JSON document, checked whole before anything starts. */
import { availableParallelism } from 'node:os';
import * as v from 'valibot';
import { integer, type Place, parseAs, placeIn, sha256, text } from '../shared/parse.ts';
import { parsePolicy } from '../shared/policy/language.ts';
import { FRAME_BYTES_MAX, IDLE_TIMEOUT_MS, IN_FLIGHT_MAX } from '../shared/protocol/limits.ts';

const labels = v.array(text(64));
const ConfigSchema = v.strictObject({
  host: v.optional(text(), '127.0.0.1'),
  /** 0 takes any free port. */
  port: v.optional(integer(0, 65_535), 8080),
  /** Folders of bundles, relative to the configuration file. */
  bundles: v.pipe(v.array(text(1024)), v.minLength(1)),
  policy: v.unknown(),
  credentials: v.optional(
    v.strictObject({
      /** What clients without a token may use; null to require one. */
      anonymous: v.optional(v.nullable(v.strictObject({ labels })), null),
      tokens: v.optional(
        v.array(
          v.strictObject({
            name: text(64),
            /** Of the token, in hex, so that the file holds no secret. */
            sha256,
            labels,
          }),
        ),
        [],
      ),
    }),
    {},
  ),
  /** Origins of pages that embed the SDK, besides the gateway's own; `*` for all. */
  origins: v.optional(v.array(text()), []),
  /** Worker threads that run tails. */
  workers: v.optional(integer(1, 256)),
  /** Threads of each worker within one operator. */
  threads: v.optional(integer(1, 256), 1),
  /** Where it is, for the policy's `regions`. */
  region: v.optional(v.nullable(text(64)), null),
  /** File with the Ed25519 key that receipts are signed with (PKCS #8, PEM); without one a key is made at each start. */
  receiptKey: v.optional(v.nullable(text(4096)), null),
  /** File that gets one line of JSON for every request that may be told of, or `stdout`. */
  auditLog: v.optional(v.nullable(text(4096)), null),
  /** Whether to log every request as a line of JSON, with its trace context. */
  logRequests: v.optional(v.boolean(), false),
  queueDepthMax: v.optional(integer(0, 100_000), 64),
  frameBytesMax: v.optional(integer(1024, FRAME_BYTES_MAX), FRAME_BYTES_MAX),
  /** Of frames and bodies that are not whole yet, of all clients together. */
  receivingBytesMax: v.optional(integer(4 * FRAME_BYTES_MAX, 2 ** 40), 16 * FRAME_BYTES_MAX),
  /** Of answers that wait to be read, of all clients together. */
  unreadBytesMax: v.optional(integer(4 * FRAME_BYTES_MAX, 2 ** 40), 16 * FRAME_BYTES_MAX),
  inFlightMax: v.optional(integer(1, IN_FLIGHT_MAX), IN_FLIGHT_MAX),
  idleTimeoutMs: v.optional(integer(1000, 3_600_000), IDLE_TIMEOUT_MS),
  connectionsMax: v.optional(integer(1, 1_000_000), 1024),
  /** A task that runs longer is stuck: its worker is ended and replaced. */
  taskTimeoutMs: v.optional(integer(100, 3_600_000), 60_000),
  heartbeatMs: v.optional(integer(1000, 600_000), 30_000),
  /**
   * Of a connection of HTTP that is not in use, or whose peer reads nothing of an answer. A proxy that keeps its own for longer sends
   * requests into the end of it.
   */
  keepAliveMs: v.optional(integer(1000, 3_600_000), 125_000),
  /** How long requests under way are served after SIGTERM. */
  drainMs: v.optional(integer(0, 600_000), 10_000),
});

export type ServerConfig = ReturnType<typeof parseServerConfig>;

/**
 * Throws BAD_CONFIG saying which field, what was expected and what came.
 * @param what the file's name, or what names places in it
 */
export function parseServerConfig(value: unknown, what: string | Place) {
  const place: Place = (path) => placeIn(what, path);
  const config = parseAs(ConfigSchema, value, 'BAD_CONFIG', what);
  return {
    ...config,
    policy: parsePolicy(config.policy, (path) => place(['policy', ...path])),
    /** Names places in the configuration, for errors found later. */
    place,
    // One core is left to the event loop.
    workers: config.workers ?? Math.max(1, availableParallelism() - 1),
  };
}
