/** The client core: holds the link, the installation and the estimates together, and runs requests. Knows no host. */
import { readPlanFile } from '../shared/bundle.ts';
import { asTandemError, TandemError } from '../shared/errors.ts';
import { ownValue } from '../shared/own-value.ts';
import { depthOf, type Plan } from '../shared/plan.ts';
import { type Policy, parsePolicy } from '../shared/policy/language.ts';
import type { MessageOf } from '../shared/protocol/messages.ts';
import { socketUrl } from '../shared/protocol/paths.ts';
import { askerOf } from '../shared/schedule/asker.ts';
import { coverage, NOTHING_PREDICTED } from '../shared/schedule/calibration.ts';
import type { Decision } from '../shared/schedule/decide.ts';
import { DeviceWork } from '../shared/schedule/device-work.ts';
import { Estimates } from '../shared/schedule/estimates.ts';
import { linkFigures } from '../shared/schedule/link.ts';
import { type Objective, parseObjective } from '../shared/schedule/objective.ts';
import { speedRatio } from '../shared/schedule/speed.ts';
import { ACCURACY_DROP_MAX } from '../shared/schedule/table.ts';
import { answersByKey } from './answers.ts';
import { baseUrl } from './base-url.ts';
import type { Begun } from './begun.ts';
import { type Courtesy, courtesyOn } from './courtesy.ts';
import { webSource } from './download.ts';
import { type Events, guardedEvents } from './events.ts';
import type { Host } from './host.ts';
import { checkOptions, checkSignal } from './input.ts';
import type { Installation } from './installation.ts';
import { type Installations, installationsOf } from './installations.ts';
import { createInterrupt, type InterruptHandle } from './interrupt.ts';
import { type KeptEstimates, keptEstimates } from './kept-estimates.ts';
import { type Link, linkTo } from './link.ts';
import { orAborted } from './or-aborted.ts';
import { type PermissionFor, permissionsUnder } from './permissions.ts';
import { requestOn } from './request.ts';
import { type RequestContext, Superseded } from './request-context.ts';
import { newestOnly, type StreamResult } from './stream.ts';
import { tokensOf } from './token.ts';
import { calibrated, failedRoute, newTrail, type Trail, withSent } from './trail.ts';
import type {
  Client,
  ClientOptions,
  ClientState,
  Diagnostics,
  InferOptions,
  InferResult,
  Input,
  StreamOptions,
} from './types.ts';
import { newUsage } from './usage.ts';

/** For bug reports. */
const ROUTES_KEPT = 16;
/** After this long in the background the device may be slower or faster, and on another network. */
const AWAY_MS = 10_000;

/**
 * Fetches the plan and makes the device, then starts connecting and downloading; waits for neither.
 * @throws BAD_CONFIG; UNAVAILABLE, NOT_FOUND, BAD_DOWNLOAD or BAD_PLAN where the plan is not to be had; DEVICE_FAILED
 */
export async function connectWith(host: Host, options: ClientOptions): Promise<CoreClient> {
  const policy = options.policy && parsePolicy(options.policy, 'policy');
  const { accuracyDropMax = 0 } = options;
  if (!(accuracyDropMax >= 0)) {
    throw new TandemError('BAD_CONFIG', 'expected accuracyDropMax of 0 or more');
  }
  const url = baseUrl(options.url);
  const core = new ClientCore(host, url, options, policy);
  await core.start();
  return core;
}

/** An input, or what reads it: the deadline holds for that too. */
type Unread = Input | (() => Promise<Input>);

export interface CoreClient extends Client {
  /** @param begun what has left of the request already: its answer is waited for, instead of sending anything */
  infer(input: Unread, options?: InferOptions, begun?: Begun | null): Promise<InferResult>;
}

class ClientCore implements CoreClient {
  declare readonly addEventListener: Client['addEventListener'];
  declare readonly removeEventListener: Client['removeEventListener'];
  declare private readonly dispatch: Events['dispatch'];
  private link: Link | null = null;
  private readonly closing = new AbortController();
  private stopListening: () => void = () => {};
  private readonly courtesy: Courtesy;
  private readonly wakeRequests = new Set<() => void>();
  private readonly answers = answersByKey<InferResult>();
  /** Bytes of this plan that listeners know of. */
  private announced = -1;
  private announcedPlan = '';
  private announcedState = '';
  private routes: Diagnostics['routes'] = [];
  private held = NOTHING_PREDICTED;
  private readonly usage = newUsage();
  /** What the gateway granted last, also where it is out of reach by now. */
  private granted: MessageOf<'welcome'> | null = null;
  private readonly interrupts = new Set<InterruptHandle>();
  private readonly estimates: Estimates;
  private readonly kept: KeptEstimates;
  private readonly installations: Installations;
  private readonly host: Host;
  private readonly url: string;
  private readonly options: ClientOptions;
  private readonly objective: Objective;
  private readonly permissionFor: PermissionFor;
  private readonly deviceWork = new DeviceWork();
  /** Whether a device is to have segments. */
  private wantsSegments: boolean;

  constructor(host: Host, url: string, options: ClientOptions, policy: Policy | undefined) {
    this.host = host;
    Object.assign(this, guardedEvents(host.report));
    this.url = url;
    this.options = options;
    this.objective = parseObjective(options.objective ?? {}, 'objective');
    this.estimates = new Estimates(undefined, host.clock.now());
    this.kept = keptEstimates(this.estimates, host, webSource(host, url, options.model).name);
    this.permissionFor = permissionsUnder(policy, () => host.network?.() ?? null);
    this.wantsSegments = options.download ?? !host.savesData?.();
    this.courtesy = courtesyOn(host.clock);
    this.installations = installationsOf({
      ...{ host, url, model: options.model, estimates: this.estimates, planSha256: options.planSha256?.toLowerCase() },
      wantsSegments: () => this.wantsSegments,
      servedId: (name) => this.link?.welcome?.plans.find((plan) => plan.name === name)?.id,
      whenIdle: this.courtesy.whenIdle,
      onChange: () => this.changed(),
      closing: this.closing.signal,
    });
  }

  async start(): Promise<void> {
    const { signal } = this.options;
    this.options.monitor?.(this);
    void this.kept.read();
    this.connectLink();
    this.stopListening = this.listen();
    try {
      await this.installations.start(signal);
    } catch (error) {
      this.stopListening();
      this.link?.close();
      throw error;
    }
    // What came before there was a state to tell of.
    this.changed();
  }

  /** What changes around a client. Gives what stops it. */
  private listen(): () => void {
    const { host, estimates } = this;
    const onLeave = () => {
      this.kept.write();
      this.link?.report();
    };
    const onWake = (awayMs: number) => {
      this.link?.wake();
      if (awayMs >= AWAY_MS) estimates.resumed();
    };
    const stops = [host.onLeave?.(onLeave), host.onWake?.(onWake), host.onNetwork?.(() => estimates.networkChanged())];
    return () => {
      for (const stop of stops) stop?.();
    };
  }

  /** At once, beside the plan: on a slow network both take their round trips. */
  private connectLink(): void {
    this.link = linkTo(this.host, socketUrl(this.url), tokensOf(this.options), {
      receipts: this.options.receipts ?? true,
      onChange: () => this.changed(),
      onWelcome: (welcome) => {
        this.granted = welcome;
        this.installations.followGateway();
      },
      onRoundTrip: (transfer, ms) => {
        const nowMs = this.host.clock.now();
        this.estimates.observeTransfer(transfer, ms, nowMs - ms, nowMs);
      },
      onLoad: ({ queueMs }) => this.estimates.observeQueue(queueMs, this.host.clock.now()),
      takeUsage: this.usage.take,
      returnUsage: this.usage.add,
    });
  }

  get plan(): Plan {
    return this.installations.current.plan;
  }

  get state(): ClientState {
    const { plan, segmentsReady, bytesLoaded, bytesTotal, downloadError, availability, demoted } =
      this.installations.current;
    return {
      device: availability,
      link: this.link?.status ?? 'connecting',
      message: this.link?.message ?? null,
      segmentsReady,
      segments: depthOf(plan),
      bytesLoaded,
      bytesTotal,
      demoted,
      downloadError,
    };
  }

  async infer(input: Unread, options: InferOptions = {}, begun: Begun | null = null): Promise<InferResult> {
    checkSignal(options.signal);
    const { idempotencyKey: key } = options;
    const failed = (error: TandemError) => this.failed(this.newTrail(begun), options, error);
    if (this.isClosed) throw failed(this.closing.signal.reason);
    if (key === undefined) return this.answer(input, options, begun);
    if (begun && this.answers.has(key)) failed(new TandemError('CANCELLED', 'another request has its answer'));
    return this.answers.once(key, (signal) => this.answer(input, { ...options, signal }, begun), options.signal);
  }

  private async answer(unread: Unread, options: InferOptions, begun: Begun | null): Promise<InferResult> {
    const { clock } = this.host;
    const trail = this.newTrail(begun);
    let interrupt: InterruptHandle | undefined;
    try {
      interrupt = createInterrupt(clock, checkOptions(options), options.signal);
      this.interrupts.add(interrupt);
      const input = typeof unread === 'function' ? await orAborted(unread(), interrupt.signal) : unread;
      trail.timing.preprocessMs += clock.now() - trail.startMs;
      for (;;) {
        const result = await this.inferOn(this.installations.current, input, options, interrupt, trail);
        if (result) return result;
      }
    } catch (thrown) {
      const reason = interrupt?.signal.reason;
      let error = asTandemError(reason ?? thrown, 'INTERNAL', 'the request failed');
      if (error.code === 'DEADLINE_EXCEEDED') {
        this.held = calibrated(this.held, trail, clock.now());
        if (trail.obstacle) error = new TandemError(error.code, `${error.message}: ${trail.obstacle}`);
      }
      const isCallers = options.signal?.aborted && reason === options.signal.reason;
      const failure = this.failed(trail, options, isCallers ? null : error);
      throw failure ?? reason;
    } finally {
      trail.isOver = true;
      if (interrupt) this.interrupts.delete(interrupt);
      interrupt?.dispose();
    }
  }

  /** Keeps the account of a request that came to nothing. Gives the error with what had left; null where there is none. */
  private failed(trail: Trail, { label = '' }: InferOptions, error: TandemError | null): TandemError | null {
    // What nobody has taken up.
    trail.begun?.cancel();
    this.keepRoute(failedRoute(trail, label, error, this.host.clock.now()));
    return error && withSent(error, trail);
  }

  private keepRoute(route: Diagnostics['routes'][number]): void {
    this.routes = [...this.routes, route].slice(-ROUTES_KEPT);
  }

  async explain(input: Input, options: InferOptions = {}): Promise<Decision> {
    checkSignal(options.signal);
    this.closing.signal.throwIfAborted();
    const deadlineAtMs = this.host.clock.now() + checkOptions(options);
    const context = this.contextOf(this.installations.current);
    const interrupt = { signal: this.closing.signal, deadlineAtMs };
    return requestOn(context, options, interrupt, this.newTrail()).explain(input);
  }

  private newTrail(begun: Begun | null = null): Trail {
    const { host, estimates } = this;
    return newTrail(host.clock.now(), askerOf(estimates, host.random()), begun);
  }

  stream(
    frames: AsyncIterable<Input> | ReadableStream<Input>,
    options: StreamOptions = {},
  ): AsyncIterable<StreamResult> {
    const answer = (frame: Input, signal: AbortSignal) =>
      this.infer(frame, { ...options, signal, idempotencyKey: undefined });
    return newestOnly(frames, answer, [this.closing.signal, options.signal], this.host.clock);
  }

  async prepare({ signal }: { readonly signal?: AbortSignal | undefined } = {}): Promise<void> {
    this.wantsSegments = true;
    for (;;) {
      signal?.throwIfAborted();
      this.closing.signal.throwIfAborted();
      const { current } = this.installations;
      if (current.isComplete) return;
      if (current.isAbandoned) throw current.lost ?? new TandemError('DEVICE_FAILED', `${current.downloadError}`);
      this.installations.complete();
      await this.nextChange(signal ?? this.closing.signal);
      const { downloadError, isDownloading, lost, isAbandoned } = this.installations.current;
      if (this.isClosed || downloadError === null || isDownloading || lost || isAbandoned) continue;
      throw new TandemError('UNAVAILABLE', downloadError);
    }
  }

  diagnostics(): Diagnostics {
    const { plan, state, estimates } = this;
    const { device, server, link, queue } = estimates.current;
    const { roundTripMs, uplinkBytesPerS, downlinkBytesPerS } = linkFigures(link);
    return {
      sdk: this.host.name,
      plan: { name: plan.name, id: plan.id },
      state,
      estimates: {
        ...{ device: speedRatio(device), server: speedRatio(server), roundTripMs },
        ...{ uplinkBytesPerS, downlinkBytesPerS, queueMs: queue.lastMs },
      },
      calibration: { requests: this.held.requests, within: coverage(this.held) },
      routes: this.routes,
    };
  }

  async asset(name: string): Promise<Uint8Array> {
    const { plan } = this;
    const file = ownValue(plan.assets, name);
    if (!file) {
      throw new TandemError('NOT_FOUND', `${plan.name} has no asset ${name}, only ${Object.keys(plan.assets)}`);
    }
    return readPlanFile(webSource(this.host, this.url, plan.name), file);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async close(): Promise<void> {
    if (this.isClosed) return;
    const reason = new TandemError('CLOSED', 'the client was closed');
    this.closing.abort(reason);
    // Not by its signal: of more than ten listeners of one Node thinks that they leak.
    for (const interrupt of this.interrupts) interrupt.end(reason);
    this.changed();
    this.stopListening();
    this.kept.write();
    if (!this.usage.isEmpty) this.link?.report();
    this.link?.close();
    await this.installations.close();
  }

  private get isClosed(): boolean {
    return this.closing.signal.aborted;
  }

  /** Undefined where the request has to begin anew, on the installation that has replaced this one. */
  private async inferOn(
    installation: Installation,
    input: Input,
    options: InferOptions,
    interrupt: InterruptHandle,
    trail: Trail,
  ): Promise<InferResult | undefined> {
    try {
      const request = requestOn(this.contextOf(installation), options, interrupt, trail);
      const result = await this.installations.use(installation, () => request.run(input));
      const { plan } = installation;
      const { decisions: _inDetail, ...route } = result.route;
      const { label, k } = route;
      // Of what may send nothing the gateway does not learn that it was there either; what that is it has to have said.
      const allowed = this.granted && this.permissionFor(label, plan, this.granted).allowed;
      if (Object.keys(allowed ?? {}).length > 0) this.usage.add([{ plan: plan.id, k, count: 1 }]);
      this.kept.writeSoon();
      this.keepRoute(route);
      this.held = calibrated(this.held, trail, this.host.clock.now());
      return result;
    } catch (error) {
      if (error instanceof Superseded) return undefined;
      throw error;
    }
  }

  private contextOf(installation: Installation): RequestContext {
    const { host, estimates, permissionFor, deviceWork } = this;
    return {
      ...{ host, estimates, permissionFor, deviceWork, installation, link: this.link as Link },
      accuracyDropMax: this.options.accuracyDropMax ?? ACCURACY_DROP_MAX,
      objective: this.objective,
      isCurrent: () => this.installations.known === installation,
      isSurpassed: () => this.installations.known !== installation && this.installations.current.isComplete,
      changed: (signal) => this.nextChange(signal),
      onDecision: (decision, label) => this.dispatch('decision', { decision, label }),
      onReceipt: (detail) => this.dispatch('receipt', detail),
      busy: this.courtesy.busy,
    };
  }

  /** Resolves at the next change, or when the signal is aborted. */
  private async nextChange(signal: AbortSignal): Promise<void> {
    let wake = () => {};
    const change = new Promise<void>((resolve) => {
      wake = resolve;
    });
    this.wakeRequests.add(wake);
    await orAborted(change, signal).catch(() => {});
    this.wakeRequests.delete(wake);
  }

  private changed(): void {
    for (const wake of this.wakeRequests) wake();
    const { known } = this.installations;
    if (!known || !this.link) return;
    const { bytesLoaded: loaded, bytesTotal: total, plan } = known;
    if (plan.id !== this.announcedPlan) this.announced = -1;
    this.announcedPlan = plan.id;
    if (loaded > this.announced) {
      this.announced = loaded;
      this.dispatch('progress', { loaded, total });
    }
    const { state } = this;
    const text = JSON.stringify(state);
    if (text === this.announcedState) return;
    this.announcedState = text;
    this.dispatch('statechange', state);
  }
}
