/**
 * One request from input to answer. Decides at every boundary, runs or sends accordingly, and goes on from where it is
 * when what it chose fails: a dead link or a late reply is finished by the device, a failed device by the gateway.
 */
import { boundaryTensors } from '../shared/chain.ts';
import type { Crossing, Payload } from '../shared/codec/boundary.ts';
import { asTandemError, messageOf, TandemError } from '../shared/errors.ts';
import { boundaryAt, depthOf, type Plan, tierAt } from '../shared/plan.ts';
import type { Floor, Policy } from '../shared/policy.ts';
import type { Picture } from '../shared/preprocess/resize.ts';
import { deviceTimeMs } from '../shared/schedule/cost.ts';
import { type Candidate, type Decision, decide } from '../shared/schedule/decide.ts';
import { type Snapshot, tierKey } from '../shared/schedule/snapshot.ts';
import { type Tensor, type Tensors, tensorFromBytes } from '../shared/tensor.ts';
import { tensorCrossing } from './device.ts';
import type { Estimates } from './estimates.ts';
import { type Answer, exchange } from './exchange.ts';
import { effectiveFloor } from './floor.ts';
import type { Host } from './host.ts';
import type { Installation } from './installation.ts';
import type { Link, Reply } from './link.ts';
import type { InferOptions, InferResult, Input, Route } from './types.ts';

/** What a request needs of its client. */
export interface RequestContext {
  readonly host: Host;
  readonly link: Link;
  readonly installation: Installation;
  readonly estimates: Estimates;
  readonly policy: Policy | undefined;
  readonly accuracyDropMax: number;
  /** Resolves at the next change of link or segments. */
  changed(): Promise<void>;
  /** While `work` is under way, downloads yield the link. */
  busy<T>(work: Promise<T>): Promise<T>;
}

/** Ends waiting early: the caller's signal, the deadline, or the client being closed. */
export interface Interrupt {
  /** Settles as `work` does, or rejects when the request is to end. */
  race<T>(work: Promise<T>): Promise<T>;
  /** Whether it has ended the request. */
  readonly isOver: boolean;
  /** On the host's clock. */
  readonly deadlineAtMs: number;
}

/** A reply is late when it takes this many times what was predicted, and this much more. */
const LATE_FACTOR = 2;
const LATE_MARGIN_MS = 250;
/** What the device is given on top of its predicted time when it must still meet the deadline. */
const FINISH_MARGIN = 1.3;
/** Pause before a request that the gateway could not take now is sent again; doubles each time. */
const RETRY_MS = 200;

const CANNOT_MAKE = 'this device cannot make the format';

/** Rejects with what the interrupt rejects with, or as `Client.infer` says. */
export function runRequest(
  context: RequestContext,
  input: Input,
  options: InferOptions,
  interrupt: Interrupt,
): Promise<InferResult> {
  return new Request(context, options, interrupt).run(input);
}

class Request {
  private readonly plan: Plan;
  private readonly label: string;
  private readonly startMs: number;
  private readonly decisions: Decision[] = [];
  private readonly timing = { preprocessMs: 0, deviceMs: 0, encodeMs: 0, networkMs: 0 };
  private readonly blocked: Record<string, string> = {};
  private size = 0;
  private bytesUp = 0;
  private force: InferOptions['force'];
  private readonly traceparent: string | null;
  private fallback: Route['fallback'] = null;
  /** Why the gateway is of no use to this request at all, or until when. */
  private refusal: string | null = null;
  private retryAtMs = 0;
  private failures = 0;
  private deviceError: TandemError | null = null;
  private readonly context: RequestContext;
  private readonly interrupt: Interrupt;

  constructor(context: RequestContext, options: InferOptions, interrupt: Interrupt) {
    this.context = context;
    this.interrupt = interrupt;
    this.force = options.force;
    this.traceparent = options.traceparent ?? null;
    this.label = options.label ?? '';
    this.plan = context.installation.plan;
    this.startMs = context.host.clock.now();
  }

  async run(input: Input): Promise<InferResult> {
    this.checkForce();
    let crossing = await this.begin(input);
    for (;;) {
      const decision = this.decide(crossing);
      const { chosen } = decision;
      if (!chosen) {
        this.assertHope(decision);
        await this.interrupt.race(this.nextChance());
        continue;
      }
      this.decisions.push(decision);
      if (chosen.k > crossing.k) {
        crossing = await this.advanceOrNote(crossing);
      } else if (chosen.tier === null) {
        return this.result(chosen, crossing.tensors, null);
      } else {
        const result = await this.sendOrNote(crossing, chosen, chosen.tier);
        if (result) return result;
      }
    }
  }

  /** A forced cut that may not be sent is the caller's mistake, not a reason to do something else. */
  private checkForce(): void {
    if (!this.force) return;
    const { k, tier } = this.force;
    boundaryAt(this.plan, k);
    if (k === depthOf(this.plan)) return;
    if (tier !== undefined) tierAt(this.plan, k, tier);
    const floor = this.floor();
    if (k < floor.k) throw new TandemError('POLICY_DENIED', `boundary ${k} may not be sent: ${floor.reason}`);
  }

  private async begin(input: Input): Promise<Crossing> {
    let crossing: Crossing;
    if (isPicture(input)) {
      const { value, ms } = await this.interrupt.race(this.context.installation.device.begin(input));
      this.timing.preprocessMs = ms;
      crossing = value;
    } else {
      crossing = tensorCrossing(this.plan, input);
      for (const { type, name } of boundaryAt(this.plan, 0).tiers) {
        if (type === 'picture') this.blocked[tierKey(0, name)] = 'the input was a tensor, not a picture';
      }
    }
    for (const name of this.context.installation.missingTiers) this.blocked[tierKey(0, name)] = CANNOT_MAKE;
    this.size = crossing.size;
    return crossing;
  }

  private decide(crossing: Crossing): Decision {
    const { installation, accuracyDropMax } = this.context;
    const ask = () =>
      decide(this.snapshot(crossing), { floor: this.floor(), accuracyDropMax, force: this.force ?? null });
    const decision = ask();
    if (decision.chosen || !this.force || this.isConnected() || !installation.isComplete) return decision;
    // What was forced cannot be done now, and the device can finish: no answer is lost for a test's sake.
    this.dropForce('there is no connection');
    return ask();
  }

  private dropForce(message: string): void {
    this.force = undefined;
    this.fallback ??= { reason: 'failed', message };
  }

  private snapshot(crossing: Crossing): Snapshot {
    const { installation, estimates } = this.context;
    return {
      plan: this.plan,
      target: installation.device.target,
      size: crossing.size,
      at: crossing.k,
      loaded: this.deviceError ? crossing.k : installation.segmentsReady,
      isConnected: this.isConnected(),
      device: estimates.device,
      server: estimates.server,
      link: estimates.link,
      queueMs: estimates.queueMs,
      encodeMs: estimates.encodeMs,
      blocked: this.blocked,
    };
  }

  private isConnected(): boolean {
    const { link, host } = this.context;
    const isServed = link.welcome?.plans.some(({ id }) => id === this.plan.id) ?? false;
    return link.isOpen && isServed && this.refusal === null && host.clock.now() >= this.retryAtMs;
  }

  private floor(): Floor {
    return effectiveFloor(this.context.policy, this.context.link.welcome, this.label, this.plan);
  }

  /** Throws where waiting cannot help: nothing more will be loaded, and no connection will come. */
  private assertHope(decision: Decision): void {
    const { link, installation } = this.context;
    if (installation.isDownloading && !this.deviceError) return;
    const mayBeSent = this.floor().k < depthOf(this.plan);
    if (mayBeSent && this.refusal === null && link.mayOpen) return;
    if (this.deviceError) throw this.deviceError;
    const reasons = [...new Set(decision.removed.map(({ reason }) => reason))].join('; ');
    const code = mayBeSent ? 'UNAVAILABLE' : 'POLICY_DENIED';
    throw new TandemError(code, `nothing can run this request: ${this.refusal ?? reasons}`);
  }

  private nextChance(): Promise<void> {
    const { host } = this.context;
    const changed = this.context.changed();
    const waitMs = this.retryAtMs - host.clock.now();
    if (waitMs <= 0) return changed;
    return new Promise((resolve) => {
      const stop = host.clock.after(waitMs, resolve);
      void changed.then(() => {
        stop();
        resolve();
      });
    });
  }

  private async advanceOrNote(crossing: Crossing): Promise<Crossing> {
    try {
      return await this.interrupt.race(this.advance(crossing));
    } catch (error) {
      if (!(error instanceof DeviceFailure)) throw error;
      this.deviceError = new TandemError('DEVICE_FAILED', error.message, { cause: error.cause });
      this.dropForce(error.message);
      return crossing;
    }
  }

  private async advance(crossing: Crossing): Promise<Crossing> {
    const { device } = this.context.installation;
    const { value, ms } = await device.advance(crossing).catch((error: unknown) => {
      throw new DeviceFailure(`segment ${crossing.k + 1} failed: ${messageOf(error)}`, { cause: error });
    });
    this.timing.deviceMs += ms;
    this.context.estimates.observeDevice(this.plan, device.target, crossing.size, crossing.k, crossing.k + 1, ms);
    return value;
  }

  /** Gives the answer, or undefined after noting why there is none, for the next decision to take into account. */
  private async sendOrNote(crossing: Crossing, chosen: Candidate, tier: string): Promise<InferResult | undefined> {
    const { value: payload, ms } = await this.interrupt.race(this.context.installation.device.encode(crossing, tier));
    if (!payload) {
      this.blocked[tierKey(crossing.k, tier)] = CANNOT_MAKE;
      return undefined;
    }
    this.timing.encodeMs += ms;
    this.context.estimates.observeEncode(crossing.k, tier, ms);
    let answer: Answer<Tensors>;
    try {
      answer = await this.send(crossing, chosen, tier, payload);
      if (answer.by === 'gateway') return this.accept(crossing, chosen, answer.reply);
    } catch (error) {
      // What the interrupt rejects with is passed on; every other coded error is the gateway's failure.
      if (this.interrupt.isOver || !(error instanceof TandemError)) throw error;
      this.noteRemoteFailure(error);
      return undefined;
    }
    this.fallback ??= { reason: 'late', message: 'the reply was late, the device went on by itself' };
    return this.result({ ...chosen, k: depthOf(this.plan), tier: null }, answer.value, null);
  }

  private noteRemoteFailure(error: TandemError): void {
    this.dropForce(`${error.code}: ${error.message}`);
    if (error.retryable) {
      this.retryAtMs = this.context.host.clock.now() + (error.retryAfterMs ?? RETRY_MS * 2 ** this.failures++);
    } else {
      this.refusal = `the gateway refused: ${error.code}: ${error.message}`;
    }
  }

  private send(crossing: Crossing, chosen: Candidate, tier: string, payload: Payload): Promise<Answer<Tensors>> {
    const { link, host, installation, busy } = this.context;
    // The last look before anything leaves: the gateway's word may have come since the decision.
    const floor = this.floor();
    if (crossing.k < floor.k) throw new TandemError('POLICY_DENIED', floor.reason);
    const pending = link.infer(
      {
        plan: this.plan.id,
        k: crossing.k,
        tier,
        label: this.label,
        deadlineMs: Math.max(1, Math.round(this.interrupt.deadlineAtMs - host.clock.now())),
        trace: this.traceparent,
        shapes: payload.shapes.map((shape) => [...shape]),
      },
      payload.parts,
    );
    this.bytesUp += pending.bytesUp;
    const lateAfterMs = this.lateAfterMs(crossing, chosen);
    const finish = (signal: AbortSignal) =>
      installation.isComplete && !this.deviceError ? this.finishOnDevice(crossing, signal) : null;
    return busy(exchange({ clock: host.clock, pending, lateAfterMs, finish }, this.interrupt.race));
  }

  private lateAfterMs(crossing: Crossing, { predicted }: Candidate): number {
    const remoteMs = predicted.uplinkMs + predicted.roundTripMs + predicted.queueMs + predicted.serverMs;
    const late = LATE_FACTOR * remoteMs + LATE_MARGIN_MS;
    const finishMs = deviceTimeMs(this.snapshot(crossing), crossing.k, depthOf(this.plan)) * FINISH_MARGIN;
    const lastCall = this.interrupt.deadlineAtMs - this.context.host.clock.now() - finishMs;
    return Math.max(0, Math.min(late, lastCall));
  }

  private async finishOnDevice(crossing: Crossing, signal: AbortSignal): Promise<Tensors> {
    let reached = crossing;
    while (reached.k < depthOf(this.plan)) {
      if (signal.aborted) return new Promise<never>(() => {});
      reached = await this.advance(reached);
    }
    return reached.tensors;
  }

  private accept(crossing: Crossing, chosen: Candidate, reply: Reply): InferResult {
    const { timing } = reply.message;
    const { estimates } = this.context;
    const networkMs = Math.max(0, reply.elapsedMs - timing.totalMs);
    estimates.observeTransfer(reply.bytesUp + reply.bytesAhead, networkMs);
    estimates.observeServer(this.plan, crossing.size, crossing.k, timing.computeMs);
    this.timing.networkMs = networkMs;
    return this.result(chosen, outputsOf(this.plan, reply), reply);
  }

  private result(chosen: Candidate, live: Tensors, reply: Reply | null): InferResult {
    const depth = depthOf(this.plan);
    const names = boundaryAt(this.plan, depth).tensors.map(({ name }) => name);
    const outputs = boundaryTensors(this.plan, depth, live).map((tensor, i) => [names[i], tensor]);
    const totalMs = this.context.host.clock.now() - this.startMs;
    return {
      outputs: Object.fromEntries(outputs),
      route: {
        k: chosen.k,
        tier: chosen.tier,
        label: this.label,
        size: this.size,
        decisions: this.decisions,
        chosen,
        timing: { ...this.timing, totalMs, server: reply?.message.timing ?? null },
        bytesUp: this.bytesUp,
        bytesDown: reply?.bytesDown ?? 0,
        fallback: this.fallback,
      },
    };
  }
}

/** The device could not run a segment. */
class DeviceFailure extends Error {}

/** Throws BAD_PAYLOAD for a reply that does not hold the model's outputs. */
function outputsOf(plan: Plan, { message, parts }: Reply): Tensors {
  const outputs = boundaryAt(plan, depthOf(plan)).tensors.map(({ name, dtype }, i): [string, Tensor] => {
    const [part, shape] = [parts[i], message.shapes[i]];
    if (!part || !shape) throw new TandemError('BAD_PAYLOAD', `the reply lacks the output ${name}`);
    try {
      return [name, tensorFromBytes(dtype, shape, part)];
    } catch (error) {
      throw asTandemError(error, 'BAD_PAYLOAD', `the output ${name} of the reply`);
    }
  });
  return Object.fromEntries(outputs);
}

function isPicture(input: Input): input is Picture {
  return typeof (input as Picture).width === 'number' && typeof (input as Picture).height === 'number';
}
