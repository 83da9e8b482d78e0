/** The client core: holds the link, the installation and the estimates together, and runs requests. Knows no host. */
import { readPlanFile } from '../shared/bundle.ts';
import { TandemError } from '../shared/errors.ts';
import { depthOf, type Plan } from '../shared/plan.ts';
import { type Policy, parsePolicy } from '../shared/policy.ts';
import { DEADLINE_MS_MAX, USAGE_COUNT_MAX } from '../shared/protocol/limits.ts';
import { type MessageOf, TRACEPARENT } from '../shared/protocol/messages.ts';
import { webSource } from './download.ts';
import { Estimates } from './estimates.ts';
import type { Host } from './host.ts';
import { type Installation, type InstallationOptions, install } from './installation.ts';
import { createInterrupt, type InterruptHandle } from './interrupt.ts';
import { Link, type Usage } from './link.ts';
import { runRequest } from './request.ts';
import type { Client, ClientOptions, ClientState, InferOptions, InferResult, Input } from './types.ts';

const DEADLINE_MS_DEFAULT = 30_000;
const ACCURACY_DROP_MAX_DEFAULT = 0.02;
/** Where the gateway listens for WebSockets. */
const WS_PATH = '/ws';

/**
 * Fetches the plan and starts connecting and downloading; waits for neither.
 * @throws BAD_CONFIG; UNAVAILABLE, NOT_FOUND or BAD_PLAN where the plan is not to be had
 */
export async function connectWith(host: Host, options: ClientOptions): Promise<Client> {
  const policy = options.policy && parsePolicy(options.policy, 'policy');
  const url = baseUrl(options.url);
  const core = new ClientCore(host, url, options, policy);
  await core.start();
  return core;
}

class ClientCore implements Client {
  private installation: Installation | null = null;
  private link: Link | null = null;
  private isClosed = false;
  /** Requests that wait for the gateway; downloads pause while there are any. */
  private waitingForGateway = 0;
  private wakeDownloads: (() => void)[] = [];
  private wakeRequests: (() => void)[] = [];
  private readonly listeners = new Set<(state: ClientState) => void>();
  private readonly interrupts = new Set<InterruptHandle>();
  /** Finished requests not yet reported, by plan and depth. */
  private readonly usage = new Map<string, Usage[number]>();
  private readonly estimates = new Estimates();
  private readonly host: Host;
  private readonly url: string;
  private readonly options: ClientOptions;
  private readonly policy: Policy | undefined;

  constructor(host: Host, url: string, options: ClientOptions, policy: Policy | undefined) {
    this.host = host;
    this.url = url;
    this.options = options;
    this.policy = policy;
  }

  async start(): Promise<void> {
    const { model, signal } = this.options;
    this.installation = await install(model, this.installationOptions(), signal);
    signal?.throwIfAborted();
    this.link = new Link(this.host, `${this.url.replace(/^http/, 'ws')}${WS_PATH}`, () => this.token(), {
      onChange: () => this.changed(),
      onWelcome: (welcome) => void this.renegotiate(welcome),
      onRoundTrip: (bytes, ms) => this.estimates.observeTransfer(bytes, ms),
      onLoad: ({ queueMs }) => {
        this.estimates.queueMs = queueMs;
      },
      takeUsage: () => this.takeUsage(),
      returnUsage: (usage) => {
        for (const { plan, k, count } of usage) this.count(plan, k, count);
      },
    });
  }

  get plan(): Plan {
    return this.installed.plan;
  }

  get state(): ClientState {
    const { plan, segmentsReady, bytesLoaded, bytesTotal, downloadError } = this.installed;
    return {
      link: this.link?.status ?? 'connecting',
      message: this.link?.message ?? null,
      segmentsReady,
      segments: depthOf(plan),
      bytesLoaded,
      bytesTotal,
      downloadError,
    };
  }

  async infer(input: Input, options: InferOptions = {}): Promise<InferResult> {
    options.signal?.throwIfAborted();
    const { link } = this;
    if (this.isClosed || !link) throw new TandemError('CLOSED', 'the client was closed');
    const deadlineMs = options.deadlineMs ?? DEADLINE_MS_DEFAULT;
    if (!(deadlineMs > 0 && deadlineMs <= DEADLINE_MS_MAX)) {
      throw new TandemError('BAD_INPUT', `expected a deadline from 0 to ${DEADLINE_MS_MAX} ms, got ${deadlineMs}`);
    }
    if (options.traceparent !== undefined && !TRACEPARENT.test(options.traceparent)) {
      throw new TandemError(
        'BAD_INPUT',
        `expected a traceparent 00-<32 hex>-<16 hex>-<2 hex>, got ${options.traceparent}`,
      );
    }
    const interrupt = createInterrupt(this.host.clock, deadlineMs, options.signal);
    this.interrupts.add(interrupt);
    const installation = this.installed;
    installation.users++;
    try {
      const result = await runRequest(
        {
          host: this.host,
          link,
          installation,
          estimates: this.estimates,
          policy: this.policy,
          accuracyDropMax: this.options.accuracyDropMax ?? ACCURACY_DROP_MAX_DEFAULT,
          changed: () => new Promise((resolve) => this.wakeRequests.push(resolve)),
          busy: (work) => this.busy(work),
        },
        input,
        options,
        interrupt,
      );
      this.count(installation.plan.id, result.route.k, 1);
      return result;
    } finally {
      interrupt.dispose();
      this.interrupts.delete(interrupt);
      installation.users--;
      this.retire(installation);
    }
  }

  async asset(name: string): Promise<Uint8Array> {
    const { plan } = this;
    const file = Object.hasOwn(plan.assets, name) ? plan.assets[name] : undefined;
    if (!file)
      throw new TandemError('NOT_FOUND', `${plan.name} has no asset ${name}, only ${Object.keys(plan.assets)}`);
    return readPlanFile(webSource(this.host, this.url, plan.name, {}), file);
  }

  subscribe(listener: (state: ClientState) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  async close(): Promise<void> {
    if (this.isClosed) return;
    this.isClosed = true;
    const reason = new TandemError('CLOSED', 'the client was closed');
    for (const interrupt of this.interrupts) interrupt.end(reason);
    this.link?.close();
    await this.installation?.close();
  }

  private get installed(): Installation {
    if (!this.installation) throw new TandemError('CLOSED', 'the client is not connected');
    return this.installation;
  }

  private installationOptions(): InstallationOptions {
    return {
      host: this.host,
      url: this.url,
      estimates: this.estimates,
      download: this.options.download ?? true,
      whenIdle: () =>
        this.waitingForGateway === 0 ? Promise.resolve() : new Promise((resolve) => this.wakeDownloads.push(resolve)),
      onChange: () => this.changed(),
    };
  }

  /** The gateway serves other plans than ours: fetch the new one. Requests under way end on the old installation. */
  private async renegotiate(welcome: MessageOf<'welcome'>): Promise<void> {
    const old = this.installed;
    const served = welcome.plans.find(({ name }) => name === old.plan.name);
    if (!served || served.id === old.plan.id) return;
    try {
      const fresh = await install(old.plan.name, this.installationOptions());
      if (this.isClosed || this.installation !== old) return await fresh.close();
      this.installation = fresh;
      this.retire(old);
      this.changed();
    } catch {
      // The old installation goes on by itself; the next welcome tries again.
    }
  }

  /** Closes an installation that was replaced, once its last request has ended. */
  private retire(installation: Installation): void {
    if (installation !== this.installation && installation.users === 0) void installation.close();
  }

  private async token(): Promise<string | null> {
    const { token } = this.options;
    return (typeof token === 'function' ? await token() : token) ?? null;
  }

  private async busy<T>(work: Promise<T>): Promise<T> {
    this.waitingForGateway++;
    try {
      return await work;
    } finally {
      this.waitingForGateway--;
      if (this.waitingForGateway === 0) for (const wake of this.wakeDownloads.splice(0)) wake();
    }
  }

  private changed(): void {
    for (const wake of this.wakeRequests.splice(0)) wake();
    if (!this.installation || !this.link) return;
    for (const listener of this.listeners) listener(this.state);
  }

  private count(plan: string, k: number, count: number): void {
    const key = `${plan}/${k}`;
    const known = this.usage.get(key)?.count ?? 0;
    this.usage.set(key, { plan, k, count: Math.min(USAGE_COUNT_MAX, known + count) });
  }

  private takeUsage(): Usage {
    const usage = [...this.usage.values()].slice(0, 64);
    for (const { plan, k } of usage) this.usage.delete(`${plan}/${k}`);
    return usage;
  }
}

function baseUrl(url: string): string {
  if (!URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol)) {
    throw new TandemError('BAD_CONFIG', `expected the gateway's address as http:// or https://, got ${url}`);
  }
  return url.replace(/\/+$/, '');
}
