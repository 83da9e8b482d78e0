/**
 * One request from input to answer. Decides at every boundary, runs or sends accordingly, and goes on from where it is
 * when what it chose fails: a dead link or a late reply is finished by the device, a failed device by the gateway.
 */
import { boundaryTensors } from '../shared/chain.ts';
import { type Crossing, type Payload, tensorCrossing } from '../shared/codec/boundary.ts';
import { asTandemError, messageOf, TandemError } from '../shared/errors.ts';
import { boundaryAt, depthOf, namesAt, type Tier, tierKey } from '../shared/plan.ts';
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
import { deviceSteps } from './device-steps.ts';
import { type Answer, exchange } from './exchange.ts';
import { checkForce, isPicture } from './input.ts';
import type { Interrupt } from './interrupt.ts';
import { orAborted } from './or-aborted.ts';
import { outputsOf } from './outputs.ts';
import { pause } from './pause.ts';
import { takeReceipt } from './receipts.ts';
import { remoteOf } from './remote.ts';
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
export interface RunningRequest {
  /** Rejects with Superseded, with the reason of the interrupt's signal, or as `Client.infer` says. */
  run(input: Input): Promise<InferResult>;
  /** What `run` would decide first. Throws BAD_INPUT, or as it does for a forced cut. */
  explain(input: Input): Decision;
}

export function requestOn(
  context: RequestContext,
  options: InferOptions,
  interrupt: Interrupt,
  trail: Trail,
): RunningRequest {
  const { host, installation, estimates, link, deviceWork, isCurrent } = context;
  const { clock } = host;
  const { plan } = installation;
  const trace = options.traceparent ?? null;
  const label = options.label ?? '';
  const depth = depthOf(plan);
  const device = deviceSteps(context, trail, interrupt.signal);
  const remote = remoteOf(clock, link, plan);
  const prefer = trail.isForDevice ? 'device' : options.prefer;
  let force = trail.isForDevice ? undefined : options.force;
  /** Tiers that this request cannot use, and why. */
  const blocked: Record<string, string> = {};
  let size = 0;
  /** Among those that the device has work for. */
  const self = {};

  async function toAnswer(input: Input): Promise<InferResult> {
    const early = await adopt(input);
    if (early) return early;
    await assertWhole();
    assertForce();
    let crossing = await begin(input);
    for (;;) {
      if (crossing.k === depth) return result(depth, null, crossing.tensors, null);
      await assertDevice();
      const decision = decide(crossing);
      const { chosen } = decision;
      trail.obstacle = chosen ? null : obstacleOf(decision);
      if (!chosen) {
        assertHope(decision);
        await nextChance();
        continue;
      }
      trail.asker.take(decision, question());
      trail.decisions.push(decision);
      context.onDecision(decision, label);
      deviceWork.plan(self, chosen.predicted.deviceMs);
      if (chosen.k > crossing.k || chosen.tier === null) {
        const reached = await device.advance(crossing);
        if (reached) crossing = reached;
        else dropForce(`${device.error?.message}`);
      } else {
        const answer = await sendOrNote(crossing, chosen, chosen.tier);
        if (answer) return answer;
      }
    }
  }

  /** In which tiers a forced cut can be sent, only the whole plan tells. */
  async function assertWhole(): Promise<void> {
    const { tier, k = depth } = force ?? {};
    const isKnown = ({ name }: Tier) => tier === undefined || name === tier;
    if (k === depth || plan.boundaries[k]?.tiers.some(isKnown) !== false) return;
    while (installation.isHead && installation.isDownloading) {
      if (!isCurrent()) throw new Superseded();
      await nextChance();
    }
  }

  /** A forced cut that may not be sent is the caller's mistake, not a reason to do something else. */
  function assertForce(): void {
    if (!force) return;
    const { k, tier } = force;
    checkForce(plan, force);
    if (k === depth) return;
    const allowance = permission();
    const tiers = tier === undefined ? boundaryAt(plan, k).tiers.map(({ name }) => name) : [tier];
    const [denial, ...others] = tiers.map((name) => denialOf(allowance, k, name));
    if (denial && others.every((other) => other !== null)) throw policyDenied(plan, k, denial);
    if (k < allowance.floor) throw policyDenied(plan, k, allowance.otherwise);
  }

  async function begin(input: Input): Promise<Crossing> {
    let crossing: Crossing | undefined;
    if (isPicture(input)) {
      crossing = await device.begin(input);
      if (!crossing) {
        await assertDevice();
        throw device.error;
      }
    } else {
      crossing = tensorCrossing(plan, input);
      blockPictures();
    }
    blockMissing();
    size = crossing.size;
    return crossing;
  }

  function blockPictures(): void {
    for (const { type, name } of boundaryAt(plan, 0).tiers) {
      if (type === 'picture') blocked[tierKey(0, name)] = 'the input was a tensor, not a picture';
    }
  }

  function blockMissing(): void {
    for (const name of installation.missingTiers) blocked[tierKey(0, name)] = CANNOT_MAKE;
  }

  /** A device that died is replaced: the request begins anew on its successor. Throws DEVICE_FAILED where none comes. */
  async function assertDevice(): Promise<void> {
    while (installation.lost) {
      if (!isCurrent()) throw new Superseded();
      if (installation.isAbandoned) throw installation.lost;
      await nextChance();
    }
  }

  function decide(crossing: Crossing): Decision {
    const ask = () => trail.asker.ask(snapshot(crossing), question());
    const decision = ask();
    if (decision.chosen || !force) return decision;
    const { k } = force;
    const obstacle = decision.removed.find((choice) => choice.k === k);
    const isHopeless = decision.removed.every(({ waitsFor }) => waitsFor === null);
    const canFinish = installation.isComplete && !remote.isReachable;
    if (!isHopeless && !canFinish) return decision;
    // What was forced cannot be done now: no answer is lost for a test's sake.
    dropForce(obstacle?.reason ?? `boundary ${k} is behind`);
    return ask();
  }

  function question(): Question {
    const { accuracyDropMax, objective } = context;
    return {
      ...{ permission: permission(), force: force ?? null, prefer, accuracyDropMax, objective },
      deadlineMs: leftMs(),
    };
  }

  function leftMs(): number {
    return interrupt.deadlineAtMs - clock.now();
  }

  function dropForce(message: string): void {
    force = undefined;
    trail.fallback ??= { reason: 'failed', message };
  }

  function snapshot(crossing: Crossing): Snapshot {
    const nowMs = clock.now();
    return {
      plan,
      target: installation.device.target,
      size: crossing.size,
      at: crossing.k,
      loaded: device.error ? crossing.k : installation.segmentsReady,
      isConnected: remote.isReachable,
      disconnection: remote.refusal ?? link.message,
      ...estimates.partsFor(plan, nowMs),
      aheadBytes: link.bufferedBytes,
      deviceAheadMs: deviceWork.aheadOf(self),
      blocked: { ...blocked },
      savesData: host.savesData?.(),
      savesPower: host.savesPower?.(),
      isHeldBack: trail.asker.isHeldBack(nowMs),
    };
  }

  function permission(): Permission {
    return context.permissionFor(label, plan, link.welcome);
  }

  /** Throws where waiting cannot help: nothing that the request lacks is on its way. */
  function assertHope({ removed }: Decision): void {
    if (!isCurrent()) throw new Superseded();
    const waitsFor = (what: string) => removed.some((choice) => choice.waitsFor === what);
    if (waitsFor('segments') && installation.isDownloading && !device.error) return;
    if (waitsFor('connection') && remote.mayRecover) return;
    if (device.error) throw device.error;
    const { downloadError } = installation;
    // Segments that should have come are no matter of policy.
    const { allowed, floor } = permission();
    // Of a plan's head it is not known yet in which tiers.
    const isAllowed = Object.keys(allowed).length > 0 || (installation.isHead && floor < depth);
    const mayGo = isAllowed || downloadError !== null;
    const code = mayGo ? 'UNAVAILABLE' : 'POLICY_DENIED';
    throw new TandemError(code, `nothing can run this request: ${trail.obstacle}`);
  }

  function obstacleOf({ removed }: Decision): string {
    const { downloadError } = installation;
    const reasons = new Set([...removed.map(({ reason }) => reason), downloadError]);
    return [...reasons].filter((reason) => reason !== null).join('; ');
  }

  /** Resolves when something else may be done than now. */
  async function nextChance(): Promise<void> {
    const { changed } = context;
    const retryInMs = remote.retryInMs();
    const over = new AbortController();
    const chances = [changed(over.signal)];
    if (retryInMs > 0) chances.push(pause(clock, retryInMs, over.signal));
    try {
      await orAborted(Promise.race(chances), interrupt.signal);
    } finally {
      over.abort();
    }
  }

  /** Gives the answer, or undefined after noting why there is none, for the next decision to take into account. */
  async function sendOrNote(crossing: Crossing, chosen: Candidate, tier: string): Promise<InferResult | undefined> {
    const key = tierKey(crossing.k, tier);
    const encoded = await device.encode(crossing, tier, permission().noise).catch((error: unknown) => {
      interrupt.signal.throwIfAborted();
      blocked[key] = `encoding it failed: ${messageOf(error)}`;
    });
    if (encoded === null) blocked[key] = CANNOT_MAKE;
    if (!encoded) return undefined;
    const { payload, noise } = encoded;
    // The last look before anything leaves: another network or gateway may have come since the decision, or the gateway's word.
    const latest = permission();
    if (!remote.isReachable || denialOfSent(latest, crossing.k, tier, noise)) return undefined;
    const { k } = crossing;
    const sent = { plan: plan.id, k, tier, label, noise: [...noise], retain: latest.retain };
    const expectedMs = remoteMs(chosen.predicted) - chosen.predicted.queueMs;
    return answerOf(() => send(crossing, chosen, sent, payload), crossing, tier, expectedMs);
  }

  /** The answer to what had left before the SDK was there, with what it takes from where it is; undefined as `answerOf` says. */
  async function adopt(input: Input): Promise<InferResult | undefined> {
    const { begun } = trail;
    trail.begun = null;
    if (!begun) return undefined;
    const { request, payload, receiptKey, preprocessMs, encodeMs } = begun;
    const pending = pendingOf(begun);
    const { timing } = trail;
    timing.preprocessMs += preprocessMs;
    timing.encodeMs += encodeMs;
    const [entry] = trail.sent as [Left];
    const signed = receiptOf(entry, pending, request, payload, receiptKey);
    if (request.plan !== plan.id || request.label !== label || force || prefer === 'device') {
      pending.reply.catch(() => {});
      pending.cancel();
      note('late');
      return undefined;
    }
    size = begun.size;
    const crossing = { k: 0, size: begun.size, tensors: {}, picture: null };
    const goOn = {
      lateAfterMs: Math.min(BEGUN_LATE_MS, leftMs() * BEGUN_LATE_SHARE),
      reached: () => begin(input),
      otherwise: () => {
        if (!isCurrent()) throw new Superseded();
        if (!remote.isReachable) return;
        note('late');
        throw new TandemError('UNAVAILABLE', 'what had left early has no answer');
      },
    };
    const answer = () => awaitReply(pending, signed, crossing, goOn);
    return answerOf(answer, crossing, request.tier, goOn.lateAfterMs, 0);
  }

  /**
   * What comes of what is sent: the answer, or undefined after noting why there is none.
   * @param expectedMs how long the reply was to take, but for waiting at the gateway
   * @param sentBefore boundaries that had left before this one
   */
  async function answerOf(
    send: () => Promise<Answer<Tensors>>,
    crossing: Crossing,
    tier: string,
    expectedMs: number,
    sentBefore = trail.sent.length,
  ): Promise<InferResult | undefined> {
    const sentAtMs = clock.now();
    const overdue = () => {
      const nowMs = clock.now();
      estimates.observeOverdue(nowMs - sentAtMs - expectedMs, nowMs);
    };
    const late = () => {
      note('late');
      trail.fallback ??= { reason: 'late', message: 'the reply was late, the device went on by itself' };
      overdue();
    };
    try {
      const answer = await send();
      if (answer.by === 'gateway') return accept(crossing, tier, answer.reply);
      late();
      return result(depth, null, answer.value, null);
    } catch (error) {
      const { signal } = interrupt;
      // Whoever did not wait any longer has waited so long.
      if (signal.aborted) overdue();
      signal.throwIfAborted();
      if (error instanceof Superseded) {
        late();
        throw error;
      }
      const failure = asTandemError(error, 'INTERNAL', 'the exchange failed');
      note('failed');
      dropForce(`${failure.code}: ${failure.message}`);
      const hasLeft = trail.sent.length > sentBefore;
      // Too large: another tier may not be. What has not left may be so any number of times; the gateway is believed once, or it
      // could have one after the other sent to it.
      if (failure.code === 'PAYLOAD_TOO_LARGE' && !(hasLeft && trail.wasTooLarge)) {
        trail.wasTooLarge ||= hasLeft;
        blocked[tierKey(crossing.k, tier)] = failure.message;
      } else remote.failed(failure);
      return undefined;
    }
  }

  /** What became of the boundary that was sent last. */
  function note(outcome: 'answered' | 'late' | 'failed'): void {
    const last = trail.sent.at(-1);
    if (last?.outcome === 'pending') last.outcome = outcome;
  }

  function send(crossing: Crossing, chosen: Candidate, sent: Sending, payload: Payload): Promise<Answer<Tensors>> {
    const deadlineMs = Math.max(1, Math.round(leftMs()));
    const shapes = payload.shapes as number[][];
    const pending = link.infer({ ...sent, deadlineMs, trace, shapes }, payload.parts);
    const late = lateAfterMs(snapshot(crossing), chosen.predicted, leftMs(), force !== undefined);
    const entry = sentBoundary(sent, pending.bytesUp);
    trail.sent.push(entry);
    const signed = receiptOf(entry, pending, sent, payload, link.receiptKey);
    return awaitReply(pending, signed, crossing, { lateAfterMs: late, reached: async () => crossing });
  }

  /** @param signed resolves once what is signed is in the account */
  function awaitReply(
    pending: Pending,
    signed: Promise<void>,
    crossing: Crossing,
    { lateAfterMs, reached, otherwise }: GoingOn,
  ): Promise<Answer<Tensors>> {
    const { busy, changed, isSurpassed } = context;
    const share = estimates.shareAt(clock.now());
    // Also where the device is at it by then, and nobody waits for what the gateway says.
    pending.reply.catch(({ code }: TandemError) => {
      if (code === 'OVERLOADED') estimates.shed(clock.now(), share);
    });
    // What is signed is in the account before anything else comes of the reply.
    const reply = pending.reply.finally(() => signed);
    const finish = (signal: AbortSignal) => {
      if (!installation.isComplete || device.error) {
        // The device died meanwhile, or was none yet: its successor begins from the input.
        if (isSurpassed()) {
          trail.isForDevice = true;
          throw new Superseded();
        }
        otherwise?.();
        return null;
      }
      deviceWork.plan(self, finishMs({ ...snapshot(crossing), deviceAheadMs: 0 }));
      return reached().then((from) => device.finish(from, signal));
    };
    return busy(
      exchange({ clock, pending: { ...pending, reply }, lateAfterMs, finish, changed, signal: interrupt.signal }),
    );
  }

  function receiptOf(entry: Left, { lastWord }: Pending, sent: Sending, { parts }: Payload, key: string | null) {
    return takeReceipt(context, trail, entry, lastWord, { plan, sent, parts, key });
  }

  function accept(crossing: Crossing, tier: string, reply: Reply): InferResult {
    const { timing } = reply.message;
    const nowMs = clock.now();
    const networkMs = Math.max(0, reply.elapsedMs - timing.totalMs);
    const transfer = { bytesUp: reply.bytesUp + reply.bytesAhead, bytesDown: reply.bytesDown };
    estimates.observeTransfer(transfer, networkMs, nowMs - reply.elapsedMs, nowMs);
    estimates.observeServer(plan, crossing.size, crossing.k, tier, timing.decodeMs + timing.computeMs, nowMs);
    estimates.answered(nowMs);
    trail.timing.networkMs = networkMs;
    const made = outputsOf(plan, crossing.k, reply);
    note('answered');
    return result(crossing.k, tier, { ...crossing.tensors, ...made }, reply);
  }

  function result(k: number, tier: string | null, live: Tensors, reply: Reply | null): InferResult {
    const names = namesAt(plan, depth);
    const outputs = boundaryTensors(plan, depth, live).map((tensor, i) => [names[i], tensor]);
    const { providers, demoted } = installation;
    const provider = [...new Set(providers.slice(0, k))].join(' and ') || null;
    const route = routeOf(trail, { k, tier, label, size, provider, demoted }, reply, clock.now());
    return { outputs: Object.fromEntries(outputs), route };
  }

  return {
    async run(input) {
      try {
        return await toAnswer(input);
      } finally {
        deviceWork.done(self);
      }
    },
    explain(input) {
      assertForce();
      const { preprocess } = plan;
      const isDrawn = isPicture(input);
      if (!isDrawn) blockPictures();
      blockMissing();
      const drawn = isDrawn && preprocess ? fittedWidth(input, preprocess.height, plan.size) : undefined;
      const crossing = {
        k: 0,
        size: drawn ?? tensorCrossing(plan, input as Tensors).size,
        tensors: {},
        picture: null,
      };
      return decide(crossing);
    },
  };
}
