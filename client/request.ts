/**
 * One request from input to answer. Decides at every boundary, runs or sends accordingly, and goes on from where it is
 * when what it chose fails: a dead link or a late reply is finished by the device, a failed device by the gateway.
 */
import { boundaryTensors } from '../shared/chain.ts';
import { type Crossing, type Payload, tensorCrossing } from '../shared/codec/boundary.ts';
import { asTandemError, messageOf, TandemError } from '../shared/errors.ts';
import { boundaryAt, depthOf, namesAt, type Plan, type Tier, tierKey } from '../shared/plan.ts';
import { denialOf, denialOfSent, type Permission, policyDenied } from '../shared/policy/permission.ts';
import { fittedWidth } from '../shared/preprocess/picture.ts';
import type { Question } from '../shared/schedule/asker.ts';
import { finishMs } from '../shared/schedule/cost.ts';
import type { Candidate, Decision } from '../shared/schedule/decide.ts';
import { lateAfterMs, remoteMs } from '../shared/schedule/late.ts';
import type { Snapshot } from '../shared/schedule/snapshot.ts';
import type { Tensors } from '../shared/tensor.ts';
import { pendingOf } from './begun.ts';
import type { InferRequest, Pending, Reply } from './connection.ts';
import { type DeviceSteps, deviceSteps } from './device-steps.ts';
import { type Answer, exchange } from './exchange.ts';
import { checkForce, isPicture } from './input.ts';
import type { Interrupt } from './interrupt.ts';
import { orAborted } from './or-aborted.ts';
import { outputsOf } from './outputs.ts';
import { pause } from './pause.ts';
import { takeReceipt } from './receipts.ts';
import { type Remote, remoteOf } from './remote.ts';
import { type RequestContext, Superseded } from './request-context.ts';
import { routeOf, sentBoundary, type Trail } from './trail.ts';
import type { InferOptions, InferResult, Input } from './types.ts';

/** What is said of a boundary that is sent. */
type Sending = Pick<InferRequest, 'plan' | 'k' | 'tier' | 'label' | 'noise' | 'retain'>;

/** Of the account. */
type Left = Trail['sent'][number];

/** What is done of a reply that is late. */
interface GoingOn {
  readonly lateAfterMs: number;
  /** What the device goes on from. */
  reached(): Promise<Crossing>;
  /** Where it cannot go on now: throws where the reply is to be given up all the same. */
  otherwise?(): void;
}

/** Of a link of which nothing is known yet: what takes this long is late, or this share of the time that there is. */
const BEGUN_LATE_MS = 4_000;
const BEGUN_LATE_SHARE = 0.5;
const CANNOT_MAKE = 'this device cannot make the format';

/** One request on one installation. */
export class RunningRequest {
  private readonly plan: Plan;
  private readonly depth: number;
  private readonly label: string;
  private readonly traceparent: string | null;
  private readonly remote: Remote;
  private readonly device: DeviceSteps;
  /** Tiers that this request cannot use, and why. */
  private readonly blocked: Record<string, string> = {};
  private readonly prefer: InferOptions['prefer'];
  private force: InferOptions['force'];
  private size = 0;
  private readonly context: RequestContext;
  private readonly interrupt: Interrupt;
  private readonly trail: Trail;

  constructor(context: RequestContext, options: InferOptions, interrupt: Interrupt, trail: Trail) {
    this.context = context;
    this.interrupt = interrupt;
    this.trail = trail;
    this.force = trail.isForDevice ? undefined : options.force;
    this.prefer = trail.isForDevice ? 'device' : options.prefer;
    this.traceparent = options.traceparent ?? null;
    this.label = options.label ?? '';
    this.plan = context.installation.plan;
    this.depth = depthOf(this.plan);
    this.device = deviceSteps(context, trail, interrupt.signal);
    this.remote = remoteOf(context.host.clock, context.link, this.plan);
  }

  /** Rejects with Superseded, with the reason of the interrupt's signal, or as `Client.infer` says. */
  async run(input: Input): Promise<InferResult> {
    try {
      return await this.toAnswer(input);
    } finally {
      this.context.deviceWork.done(this);
    }
  }

  private async toAnswer(input: Input): Promise<InferResult> {
    const early = await this.adopt(input);
    if (early) return early;
    await this.assertWhole();
    this.assertForce();
    let crossing = await this.begin(input);
    for (;;) {
      if (crossing.k === this.depth) return this.result(this.depth, null, crossing.tensors, null);
      await this.assertDevice();
      const decision = this.decide(crossing);
      const { chosen } = decision;
      this.trail.obstacle = chosen ? null : this.obstacleOf(decision);
      if (!chosen) {
        this.assertHope(decision);
        await this.nextChance();
        continue;
      }
      this.trail.asker.take(decision, this.question());
      this.trail.decisions.push(decision);
      this.context.onDecision(decision, this.label);
      this.context.deviceWork.plan(this, chosen.predicted.deviceMs);
      if (chosen.k > crossing.k || chosen.tier === null) {
        const reached = await this.device.advance(crossing);
        if (reached) crossing = reached;
        else this.dropForce(`${this.device.error?.message}`);
      } else {
        const result = await this.sendOrNote(crossing, chosen, chosen.tier);
        if (result) return result;
      }
    }
  }

  /** What `run` would decide first. Throws BAD_INPUT, or as it does for a forced cut. */
  explain(input: Input): Decision {
    this.assertForce();
    const { preprocess, size } = this.plan;
    const isDrawn = isPicture(input);
    if (!isDrawn) this.blockPictures();
    this.blockMissing();
    const drawn = isDrawn && preprocess ? fittedWidth(input, preprocess.height, size) : undefined;
    const crossing = {
      k: 0,
      size: drawn ?? tensorCrossing(this.plan, input as Tensors).size,
      tensors: {},
      picture: null,
    };
    return this.decide(crossing);
  }

  /** In which tiers a forced cut can be sent, only the whole plan tells. */
  private async assertWhole(): Promise<void> {
    const { tier, k = this.depth } = this.force ?? {};
    const isKnown = ({ name }: Tier) => tier === undefined || name === tier;
    if (k === this.depth || this.plan.boundaries[k]?.tiers.some(isKnown) !== false) return;
    const { installation, isCurrent } = this.context;
    while (installation.isHead && installation.isDownloading) {
      if (!isCurrent()) throw new Superseded();
      await this.nextChance();
    }
  }

  /** A forced cut that may not be sent is the caller's mistake, not a reason to do something else. */
  private assertForce(): void {
    if (!this.force) return;
    const { k, tier } = this.force;
    checkForce(this.plan, this.force);
    if (k === this.depth) return;
    const permission = this.permission();
    const tiers = tier === undefined ? boundaryAt(this.plan, k).tiers.map(({ name }) => name) : [tier];
    const [denial, ...others] = tiers.map((name) => denialOf(permission, k, name));
    if (denial && others.every((other) => other !== null)) throw policyDenied(this.plan, k, denial);
    if (k < permission.floor) throw policyDenied(this.plan, k, permission.otherwise);
  }

  private async begin(input: Input): Promise<Crossing> {
    let crossing: Crossing | undefined;
    if (isPicture(input)) {
      crossing = await this.device.begin(input);
      if (!crossing) {
        await this.assertDevice();
        throw this.device.error;
      }
    } else {
      crossing = tensorCrossing(this.plan, input);
      this.blockPictures();
    }
    this.blockMissing();
    this.size = crossing.size;
    return crossing;
  }

  private blockPictures(): void {
    for (const { type, name } of boundaryAt(this.plan, 0).tiers) {
      if (type === 'picture') this.blocked[tierKey(0, name)] = 'the input was a tensor, not a picture';
    }
  }

  private blockMissing(): void {
    for (const name of this.context.installation.missingTiers) this.blocked[tierKey(0, name)] = CANNOT_MAKE;
  }

  /** A device that died is replaced: the request begins anew on its successor. Throws DEVICE_FAILED where none comes. */
  private async assertDevice(): Promise<void> {
    const { installation, isCurrent } = this.context;
    while (installation.lost) {
      if (!isCurrent()) throw new Superseded();
      if (installation.isAbandoned) throw installation.lost;
      await this.nextChance();
    }
  }

  private decide(crossing: Crossing): Decision {
    const { installation } = this.context;
    const ask = () => this.trail.asker.ask(this.snapshot(crossing), this.question());
    const decision = ask();
    if (decision.chosen || !this.force) return decision;
    const { k } = this.force;
    const obstacle = decision.removed.find((choice) => choice.k === k);
    const isHopeless = decision.removed.every(({ waitsFor }) => waitsFor === null);
    const canFinish = installation.isComplete && !this.remote.isReachable;
    if (!isHopeless && !canFinish) return decision;
    // What was forced cannot be done now: no answer is lost for a test's sake.
    this.dropForce(obstacle?.reason ?? `boundary ${k} is behind`);
    return ask();
  }

  private question(): Question {
    const { accuracyDropMax, objective } = this.context;
    return {
      ...{ permission: this.permission(), force: this.force ?? null, prefer: this.prefer, accuracyDropMax, objective },
      deadlineMs: this.leftMs,
    };
  }

  private get leftMs(): number {
    return this.interrupt.deadlineAtMs - this.context.host.clock.now();
  }

  private dropForce(message: string): void {
    this.force = undefined;
    this.trail.fallback ??= { reason: 'failed', message };
  }

  private snapshot(crossing: Crossing): Snapshot {
    const { installation, estimates, host, link, deviceWork } = this.context;
    const nowMs = host.clock.now();
    return {
      plan: this.plan,
      target: installation.device.target,
      size: crossing.size,
      at: crossing.k,
      loaded: this.device.error ? crossing.k : installation.segmentsReady,
      isConnected: this.remote.isReachable,
      disconnection: this.remote.refusal ?? link.message,
      ...estimates.partsFor(this.plan, nowMs),
      aheadBytes: link.bufferedBytes,
      deviceAheadMs: deviceWork.aheadOf(this),
      blocked: { ...this.blocked },
      savesData: host.savesData?.(),
      savesPower: host.savesPower?.(),
      isHeldBack: this.trail.asker.isHeldBack(nowMs),
    };
  }

  private permission(): Permission {
    return this.context.permissionFor(this.label, this.plan, this.context.link.welcome);
  }

  /** Throws where waiting cannot help: nothing that the request lacks is on its way. */
  private assertHope({ removed }: Decision): void {
    const { installation, isCurrent } = this.context;
    if (!isCurrent()) throw new Superseded();
    const waitsFor = (what: string) => removed.some((choice) => choice.waitsFor === what);
    if (waitsFor('segments') && installation.isDownloading && !this.device.error) return;
    if (waitsFor('connection') && this.remote.mayRecover) return;
    if (this.device.error) throw this.device.error;
    const { downloadError } = installation;
    // Segments that should have come are no matter of policy.
    const { allowed, floor } = this.permission();
    // Of a plan's head it is not known yet in which tiers.
    const isAllowed = Object.keys(allowed).length > 0 || (installation.isHead && floor < this.depth);
    const mayGo = isAllowed || downloadError !== null;
    const code = mayGo ? 'UNAVAILABLE' : 'POLICY_DENIED';
    throw new TandemError(code, `nothing can run this request: ${this.trail.obstacle}`);
  }

  private obstacleOf({ removed }: Decision): string {
    const { downloadError } = this.context.installation;
    const reasons = new Set([...removed.map(({ reason }) => reason), downloadError]);
    return [...reasons].filter((reason) => reason !== null).join('; ');
  }

  /** Resolves when something else may be done than now. */
  private async nextChance(): Promise<void> {
    const { host, changed } = this.context;
    const retryInMs = this.remote.retryInMs();
    const over = new AbortController();
    const chances = [changed(over.signal)];
    if (retryInMs > 0) chances.push(pause(host.clock, retryInMs, over.signal));
    try {
      await orAborted(Promise.race(chances), this.interrupt.signal);
    } finally {
      over.abort();
    }
  }

  /** Gives the answer, or undefined after noting why there is none, for the next decision to take into account. */
  private async sendOrNote(crossing: Crossing, chosen: Candidate, tier: string): Promise<InferResult | undefined> {
    const key = tierKey(crossing.k, tier);
    const encoded = await this.device.encode(crossing, tier, this.permission().noise).catch((error: unknown) => {
      this.interrupt.signal.throwIfAborted();
      this.blocked[key] = `encoding it failed: ${messageOf(error)}`;
    });
    if (encoded === null) this.blocked[key] = CANNOT_MAKE;
    if (!encoded) return undefined;
    const { payload, noise } = encoded;
    // The last look before anything leaves: another network or gateway may have come since the decision, or the gateway's word.
    const latest = this.permission();
    if (!this.remote.isReachable || denialOfSent(latest, crossing.k, tier, noise)) return undefined;
    const { k } = crossing;
    const sent = { plan: this.plan.id, k, tier, label: this.label, noise: [...noise], retain: latest.retain };
    const expectedMs = remoteMs(chosen.predicted) - chosen.predicted.queueMs;
    return this.answerOf(() => this.send(crossing, chosen, sent, payload), crossing, tier, expectedMs);
  }

  /** The answer to what had left before the SDK was there, with what it takes from where it is; undefined as `answerOf` says. */
  private async adopt(input: Input): Promise<InferResult | undefined> {
    const { begun } = this.trail;
    this.trail.begun = null;
    if (!begun) return undefined;
    const { request, payload, size, receiptKey, preprocessMs, encodeMs } = begun;
    const pending = pendingOf(begun);
    const { timing } = this.trail;
    timing.preprocessMs += preprocessMs;
    timing.encodeMs += encodeMs;
    const [entry] = this.trail.sent as [Left];
    const signed = this.takeReceipt(entry, pending, request, payload, receiptKey);
    if (request.plan !== this.plan.id || request.label !== this.label || this.force || this.prefer === 'device') {
      pending.reply.catch(() => {});
      pending.cancel();
      this.note('late');
      return undefined;
    }
    this.size = size;
    const crossing = { k: 0, size, tensors: {}, picture: null };
    const goOn = {
      lateAfterMs: Math.min(BEGUN_LATE_MS, this.leftMs * BEGUN_LATE_SHARE),
      reached: () => this.begin(input),
      otherwise: () => {
        if (!this.context.isCurrent()) throw new Superseded();
        if (!this.remote.isReachable) return;
        this.note('late');
        throw new TandemError('UNAVAILABLE', 'what had left early has no answer');
      },
    };
    const answer = () => this.awaitReply(pending, signed, crossing, goOn);
    return this.answerOf(answer, crossing, request.tier, goOn.lateAfterMs, 0);
  }

  /**
   * What comes of what is sent: the answer, or undefined after noting why there is none.
   * @param expectedMs how long the reply was to take, but for waiting at the gateway
   * @param sentBefore boundaries that had left before this one
   */
  private async answerOf(
    send: () => Promise<Answer<Tensors>>,
    crossing: Crossing,
    tier: string,
    expectedMs: number,
    sentBefore = this.trail.sent.length,
  ): Promise<InferResult | undefined> {
    const { estimates, host } = this.context;
    const { clock } = host;
    const sentAtMs = clock.now();
    const overdue = () => {
      const nowMs = clock.now();
      estimates.observeOverdue(nowMs - sentAtMs - expectedMs, nowMs);
    };
    const late = () => {
      this.note('late');
      this.trail.fallback ??= { reason: 'late', message: 'the reply was late, the device went on by itself' };
      overdue();
    };
    try {
      const answer = await send();
      if (answer.by === 'gateway') return this.accept(crossing, tier, answer.reply);
      late();
      return this.result(this.depth, null, answer.value, null);
    } catch (error) {
      const { signal } = this.interrupt;
      // Whoever did not wait any longer has waited so long.
      if (signal.aborted) overdue();
      signal.throwIfAborted();
      if (error instanceof Superseded) {
        late();
        throw error;
      }
      const failure = asTandemError(error, 'INTERNAL', 'the exchange failed');
      this.note('failed');
      this.dropForce(`${failure.code}: ${failure.message}`);
      const hasLeft = this.trail.sent.length > sentBefore;
      // Too large: another tier may not be. What has not left may be so any number of times; the gateway is believed once, or it
      // could have one after the other sent to it.
      if (failure.code === 'PAYLOAD_TOO_LARGE' && !(hasLeft && this.trail.wasTooLarge)) {
        this.trail.wasTooLarge ||= hasLeft;
        this.blocked[tierKey(crossing.k, tier)] = failure.message;
      } else this.remote.failed(failure);
      return undefined;
    }
  }

  /** What became of the boundary that was sent last. */
  private note(outcome: 'answered' | 'late' | 'failed'): void {
    const last = this.trail.sent.at(-1);
    if (last?.outcome === 'pending') last.outcome = outcome;
  }

  private send(crossing: Crossing, chosen: Candidate, sent: Sending, payload: Payload): Promise<Answer<Tensors>> {
    const { link } = this.context;
    const deadlineMs = Math.max(1, Math.round(this.leftMs));
    const shapes = payload.shapes as number[][];
    const pending = link.infer({ ...sent, deadlineMs, trace: this.traceparent, shapes }, payload.parts);
    const late = lateAfterMs(this.snapshot(crossing), chosen.predicted, this.leftMs, this.force !== undefined);
    const entry = sentBoundary(sent, pending.bytesUp);
    this.trail.sent.push(entry);
    const signed = this.takeReceipt(entry, pending, sent, payload, link.receiptKey);
    return this.awaitReply(pending, signed, crossing, { lateAfterMs: late, reached: async () => crossing });
  }

  /** @param signed resolves once what is signed is in the account */
  private awaitReply(
    pending: Pending,
    signed: Promise<void>,
    crossing: Crossing,
    { lateAfterMs, reached, otherwise }: GoingOn,
  ): Promise<Answer<Tensors>> {
    const { host, installation, estimates, deviceWork, busy, changed, isSurpassed } = this.context;
    const { clock } = host;
    const share = estimates.shareAt(clock.now());
    // Also where the device is at it by then, and nobody waits for what the gateway says.
    pending.reply.catch(({ code }: TandemError) => {
      if (code === 'OVERLOADED') estimates.shed(clock.now(), share);
    });
    // What is signed is in the account before anything else comes of the reply.
    const reply = pending.reply.finally(() => signed);
    const finish = (signal: AbortSignal) => {
      if (!installation.isComplete || this.device.error) {
        // The device died meanwhile, or was none yet: its successor begins from the input.
        if (isSurpassed()) {
          this.trail.isForDevice = true;
          throw new Superseded();
        }
        otherwise?.();
        return null;
      }
      deviceWork.plan(this, finishMs({ ...this.snapshot(crossing), deviceAheadMs: 0 }));
      return reached().then((from) => this.device.finish(from, signal));
    };
    return busy(
      exchange({ clock, pending: { ...pending, reply }, lateAfterMs, finish, changed, signal: this.interrupt.signal }),
    );
  }

  private takeReceipt(entry: Left, { lastWord }: Pending, sent: Sending, { parts }: Payload, key: string | null) {
    return takeReceipt(this.context, this.trail, entry, lastWord, { plan: this.plan, sent, parts, key });
  }

  private accept(crossing: Crossing, tier: string, reply: Reply): InferResult {
    const { timing } = reply.message;
    const { estimates, host } = this.context;
    const nowMs = host.clock.now();
    const networkMs = Math.max(0, reply.elapsedMs - timing.totalMs);
    const transfer = { bytesUp: reply.bytesUp + reply.bytesAhead, bytesDown: reply.bytesDown };
    estimates.observeTransfer(transfer, networkMs, nowMs - reply.elapsedMs, nowMs);
    estimates.observeServer(this.plan, crossing.size, crossing.k, tier, timing.decodeMs + timing.computeMs, nowMs);
    estimates.answered(nowMs);
    this.trail.timing.networkMs = networkMs;
    const made = outputsOf(this.plan, crossing.k, reply);
    this.note('answered');
    return this.result(crossing.k, tier, { ...crossing.tensors, ...made }, reply);
  }

  private result(k: number, tier: string | null, live: Tensors, reply: Reply | null): InferResult {
    const names = namesAt(this.plan, this.depth);
    const outputs = boundaryTensors(this.plan, this.depth, live).map((tensor, i) => [names[i], tensor]);
    const { label, size } = this;
    const { providers, demoted } = this.context.installation;
    const provider = [...new Set(providers.slice(0, k))].join(' and ') || null;
    const route = routeOf(
      this.trail,
      { k, tier, label, size, provider, demoted },
      reply,
      this.context.host.clock.now(),
    );
    return { outputs: Object.fromEntries(outputs), route };
  }
}
