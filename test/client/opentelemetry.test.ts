/** Spans of requests, as OpenTelemetry's own SDK has them. */
import { type Context, type ContextManager, context, ROOT_CONTEXT, SpanStatusCode, trace } from '@opentelemetry/api';
import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { BrowserClient } from '../../client/browser.ts';
import { instrument } from '../../client/opentelemetry.ts';
import { settle } from '../../client/testkit/fake-clock.ts';
import { createTestkit, type Testkit } from '../../client/testkit/index.ts';
import type { Picture } from '../../client/types.ts';

const PHOTO: Picture = { width: 16, height: 4, data: new Uint8Array(16 * 4 * 4) };
const Y = { y: { dtype: 'float32', shape: [1, 4], data: Float32Array.of(7, 7, 7, 7) } } as const;
const CALLER = { traceId: '4bf92f3577b34da6a3ce929d0e0e4736', spanId: '00f067aa0ba902b7' };

const exporter = new InMemorySpanExporter();
const provider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] });
const tracer = provider.getTracer('test');

let kit: Testkit;
let client: BrowserClient;
beforeEach(async () => {
  exporter.reset();
  kit = createTestkit({ answer: Y });
  client = await kit.connect();
});
afterEach(() => client.close());

/** Of the newest span. */
function span() {
  const spans = exporter.getFinishedSpans();
  const last = spans.at(-1);
  if (!last) throw new Error('there is no span');
  const { name, attributes, status, parentSpanContext } = last;
  return { count: spans.length, name, attributes, status, parent: parentSpanContext, ...last.spanContext() };
}

test('a request is a span that says where it ran and what it cost, and nothing of what was answered', async () => {
  instrument(client, tracer);
  const { outputs, route } = await client.infer(PHOTO, { label: 'public' });
  expect(outputs).toEqual(Y);
  const { count, name, attributes, status, parent } = span();
  expect({ count, name, status, parent }).toEqual({
    count: 1,
    name: 'tandem.infer',
    status: { code: SpanStatusCode.UNSET },
    parent: undefined,
  });
  expect(attributes).toEqual({
    'tandem.k': 0,
    'tandem.tier': route.tier,
    'tandem.why': route.why,
    'tandem.label': 'public',
    'tandem.size': route.size,
    'tandem.sent': 1,
    'tandem.bytes_up': route.bytesUp,
    'tandem.bytes_down': route.bytesDown,
    'tandem.preprocess_ms': route.timing.preprocessMs,
    'tandem.device_ms': 0,
    'tandem.encode_ms': route.timing.encodeMs,
    'tandem.network_ms': route.timing.networkMs,
    'tandem.server_ms': route.timing.server?.totalMs,
  });
});

test('one that the device answers names its provider, and no tier', async () => {
  instrument(client, tracer);
  await kit.run(client.prepare());
  await client.infer(PHOTO, { label: 'secret' });
  expect(span().attributes).toMatchObject({ 'tandem.k': 2, 'tandem.provider': 'fake', 'tandem.sent': 0 });
  expect(span().attributes).not.toHaveProperty('tandem.tier');
});

test('the gateway hears of the span, whose parent is the traceparent of the request', async () => {
  const asked: (string | undefined)[] = [];
  const { infer } = client;
  client.infer = (input, options) => {
    asked.push(options?.traceparent);
    return infer.call(client, input, options);
  };
  instrument(client, tracer);
  await client.infer(PHOTO, { label: 'public', traceparent: `00-${CALLER.traceId}-${CALLER.spanId}-01` });
  const { traceId, spanId, parent } = span();
  expect(traceId).toBe(CALLER.traceId);
  expect(parent).toMatchObject({ ...CALLER, isRemote: true });
  expect(asked).toEqual([`00-${traceId}-${spanId}-01`]);
});

test('its parent is the active span where the request has no traceparent', async () => {
  context.setGlobalContextManager(new OneContext());
  try {
    instrument(client, tracer);
    const outer = tracer.startSpan('outer');
    await context.with(trace.setSpan(ROOT_CONTEXT, outer), () => client.infer(PHOTO, { label: 'public' }));
    expect(span().parent?.spanId).toBe(outer.spanContext().spanId);
  } finally {
    context.disable();
  }
});

test('frames of a stream are requests', async () => {
  instrument(client, tracer);
  const frames = async function* () {
    yield PHOTO;
  };
  for await (const { outputs } of client.stream(frames(), { label: 'public' })) expect(outputs).toEqual(Y);
  expect(span()).toMatchObject({ count: 1, attributes: { 'tandem.label': 'public' } });
});

test('a request that comes to nothing has the code of its error', async () => {
  instrument(client, tracer);
  await expect(client.infer(PHOTO, { label: 'public', traceparent: 'mine' })).rejects.toThrow(/expected a traceparent/);
  expect(span()).toMatchObject({
    attributes: { 'error.type': 'BAD_INPUT' },
    status: { code: SpanStatusCode.ERROR, message: 'expected a traceparent 00-<32 hex>-<16 hex>-<2 hex>, got mine' },
  });
});

test('it has it too where the app has the SDK twice, as from copy-assets and from a bundler', async () => {
  const error = Object.assign(new Error('no picture'), { name: 'TandemError', code: 'BAD_INPUT' });
  const other = { infer: (_: Picture) => Promise.reject(error) };
  instrument(other, tracer);
  await expect(other.infer(PHOTO)).rejects.toBe(error);
  const status = { code: SpanStatusCode.ERROR, message: 'no picture' };
  expect(span()).toMatchObject({ attributes: { 'error.type': 'BAD_INPUT' }, status });
});

test('one that was aborted is no error', async () => {
  instrument(client, tracer);
  const signal = AbortSignal.abort(new Error('not any more'));
  await expect(client.infer(PHOTO, { label: 'public', signal })).rejects.toThrow('not any more');
  expect(span()).toMatchObject({ attributes: { 'error.type': 'ABORTED' }, status: { code: SpanStatusCode.UNSET } });
});

test('where the app has no tracer provider nothing changes', async () => {
  instrument(client);
  expect((await client.infer(PHOTO, { label: 'public' })).outputs).toEqual(Y);
  expect(exporter.getFinishedSpans()).toEqual([]);
});

/** What is active while a function is called. */
class OneContext implements ContextManager {
  private current: Context = ROOT_CONTEXT;
  active = () => this.current;
  with: ContextManager['with'] = (next, call, self, ...values) => {
    const before = this.current;
    this.current = next;
    try {
      return call.call(self as never, ...values);
    } finally {
      this.current = before;
    }
  };
  bind: ContextManager['bind'] = (_, target) => target;
  enable = () => this;
  disable = () => this;
}

test('a client that is instrumented twice has a span for each request all the same', async () => {
  instrument(client, tracer);
  instrument(client, tracer);
  await client.infer(PHOTO, { label: 'public' });
  expect(span().count).toBe(1);
});

test('a stream that is left is ABORTED to those who trace, as to diagnostics', async () => {
  const exporter = new InMemorySpanExporter();
  const provider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] });
  const kit = createTestkit({ answer: Y });
  const client = await kit.connect({ download: false });
  instrument(client, provider.getTracer('test'));
  kit.cloud.hold();
  async function* frames() {
    yield PHOTO;
    await new Promise(() => {});
  }
  const answers = client.stream(frames(), { label: 'public' })[Symbol.asyncIterator]();
  const next = answers.next();
  await kit.pass(10);
  await answers.return?.();
  await next;
  await settle();
  expect(client.diagnostics().routes.at(-1)).toMatchObject({ error: 'ABORTED' });
  const [span] = exporter.getFinishedSpans();
  expect(span?.attributes['error.type']).toBe('ABORTED');
  expect(span?.status.code).toBe(SpanStatusCode.UNSET);
});
