/** The numbers that bound a conversation. The gateway may be configured below them, never above. */

export const PROTOCOL_VERSION = 2;

/** Bytes of one frame, header and payload. The largest boundary of a 1,280 px line at 8 bits is under 1 MiB. */
export const FRAME_BYTES_MAX = 16 * 1024 * 1024;
/** Bytes of a frame's msgpack header. */
export const HEADER_BYTES_MAX = 64 * 1024;
/** Tensors of one message. */
export const PARTS_MAX = 16;
/** Dimensions of one tensor. */
export const RANK_MAX = 8;
/** Requests of one connection that have no answer yet. */
export const IN_FLIGHT_MAX = 32;
/** Longest deadline a request may ask for, in milliseconds. */
export const DEADLINE_MS_MAX = 120_000;
/** Where an app says nothing else. */
export const DEADLINE_MS_DEFAULT = 30_000;
/** Time from opening to a hello, in milliseconds. */
export const HELLO_TIMEOUT_MS = 10_000;
/** A client that is silent for this long is closed; clients ping well within it. */
export const IDLE_TIMEOUT_MS = 60_000;
/** Bytes waiting to be read by a slow client before it is closed. */
export const UNSENT_BYTES_MAX = 8 * 1024 * 1024;
/** Requests counted in one usage report, so that a client cannot swing a dashboard with a single message. */
export const USAGE_COUNT_MAX = 10_000;
/** Entries of one usage report. */
export const USAGE_ENTRIES_MAX = 64;
/** Characters of an error's message. */
export const ERROR_MESSAGE_MAX = 1024;
/** Length of a WebSocket close reason, in bytes of UTF-8 (RFC 6455, 5.5). */
export const CLOSE_REASON_BYTES_MAX = 123;
/** Characters of a receipt: names of up to 32 tensors are the most of it. */
export const RECEIPT_LENGTH_MAX = 16 * 1024;
