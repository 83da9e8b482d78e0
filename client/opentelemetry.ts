/** `tandem/opentelemetry`: a client's requests as spans, for apps that trace with OpenTelemetry. */
import {
  type Attributes,
  type Context,
  context,
  isSpanContextValid,
  type Span,
  SpanStatusCode,
  type Tracer,
  trace,
} from '@opentelemetry/api';
import type { TandemError } from '../shared/errors.ts';
import { TRACEPARENT } from '../shared/protocol/traceparent.ts';
import type { InferOptions, InferResult, Route } from './types.ts';

const SPAN = 'tandem.infer';
const instrumented = new WeakSet<object>();

/** What is traced of a client: whatever `connect` gives has it. */
export interface Inferring<Input, Result extends InferResult> {
  infer(input: Input, options?: InferOptions): Promise<Result>;
}

/**
 * From now on each request of this client, those of `stream` too, is a span `tandem.infer` with its route as attributes: where it
 * was cut and why, in which tier, by which provider, bytes and stages; nothing of what was asked and answered. Its parent is the
 * request's `traceparent`, else the active span, and the gateway's log of the request names the span. A request that comes to
 * nothing has the code of its error as `error.type`, `ABORTED` where its signal was. A client that is instrumented already stays so.
 * @param tracer default: one of the app's tracer provider; without a provider nothing is traced
 */
export function instrument<Input, Result extends InferResult>(
  client: Inferring<Input, Result>,
  tracer: Tracer = trace.getTracer('tandem'),
): void {
  if (instrumented.has(client)) return;
  instrumented.add(client);
  const { infer } = client;
  client.infer = async (input, options = {}) => {
    const span = tracer.startSpan(SPAN, {}, parentOf(options));
    try {
      const result = await infer.call(client, input, { ...options, traceparent: traceparentOf(span, options) });
      span.setAttributes(attributesOf(result.route));
      return result;
    } catch (error) {
      // A stream that is left aborts with a TandemError.
      const isCallers = options.signal?.aborted && error === options.signal.reason;
      const failure = isTandemError(error) && !isCallers ? error : null;
      if (failure) span.setStatus({ code: SpanStatusCode.ERROR, message: failure.message });
      span.setAttribute('error.type', failure?.code ?? 'ABORTED');
      throw error;
    } finally {
      span.end();
    }
  };
}

/** By its name: the client may be of another copy of the SDK than this. */
function isTandemError(error: unknown): error is TandemError {
  return error instanceof Error && error.name === 'TandemError';
}

function parentOf({ traceparent = '' }: InferOptions): Context {
  const [, traceId = '', spanId = '', flags = ''] = TRACEPARENT.exec(traceparent) ?? [];
  const parent = { traceId, spanId, traceFlags: Number.parseInt(flags, 16), isRemote: true };
  return isSpanContextValid(parent) ? trace.setSpanContext(context.active(), parent) : context.active();
}

/** Of the span; the caller's own where nothing is traced, or it is none: the client says so. */
function traceparentOf(span: Span, { traceparent }: InferOptions): string | undefined {
  const own = span.spanContext();
  if (!isSpanContextValid(own) || (traceparent !== undefined && !TRACEPARENT.test(traceparent))) return traceparent;
  return `00-${own.traceId}-${own.spanId}-${own.traceFlags.toString(16).padStart(2, '0')}`;
}

function attributesOf({
  k,
  tier,
  provider,
  why,
  label,
  size,
  timing,
  sent,
  bytesUp,
  bytesDown,
  fallback,
}: Route): Attributes {
  return {
    'tandem.k': k,
    'tandem.tier': tier ?? undefined,
    'tandem.provider': provider ?? undefined,
    'tandem.why': why,
    'tandem.label': label,
    'tandem.size': size,
    'tandem.sent': sent.length,
    'tandem.bytes_up': bytesUp,
    'tandem.bytes_down': bytesDown,
    'tandem.fallback': fallback?.reason,
    'tandem.preprocess_ms': timing.preprocessMs,
    'tandem.device_ms': timing.deviceMs,
    'tandem.encode_ms': timing.encodeMs,
    'tandem.network_ms': timing.networkMs,
    'tandem.server_ms': timing.server?.totalMs,
  };
}
