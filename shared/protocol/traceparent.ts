/** W3C trace context, version 00: trace id, parent id, flags (www.w3.org/TR/trace-context, 3.2). */
export const TRACEPARENT = /^00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$/;
