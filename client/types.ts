/// <reference lib="esnext.disposable" preserve="true" />
/** What users of the SDK see: options, results, and the explanation that comes with every answer. */
import type { ErrorCode } from '../shared/errors.ts';
import type { Plan } from '../shared/plan.ts';
import type { PolicyInput } from '../shared/policy/language.ts';
import type { Picture } from '../shared/preprocess/resize.ts';
import type { MessageOf } from '../shared/protocol/messages.ts';
import type { SignedReceipt } from '../shared/receipt.ts';
import type { Prediction } from '../shared/schedule/cost.ts';
import type { Decision } from '../shared/schedule/decide.ts';
import type { ObjectiveInput } from '../shared/schedule/objective.ts';
import type { SentBoundary } from '../shared/sent-boundary.ts';
import type { Tensors } from '../shared/tensor.ts';
import type { StreamResult } from './stream.ts';

export type { Noise, NoiseType } from '../shared/codec/noise.ts';
export type { Plan } from '../shared/plan.ts';
export type { NetworkName, PolicyInput, RuleInput, TermsInput } from '../shared/policy/language.ts';
export type { Picture } from '../shared/preprocess/resize.ts';
export type { Receipt, SignedReceipt } from '../shared/receipt.ts';
export type { Prediction } from '../shared/schedule/cost.ts';
export type { Candidate, Decision, Removed } from '../shared/schedule/decide.ts';
export type { ObjectiveInput } from '../shared/schedule/objective.ts';
export type { DecisionRecord } from '../shared/schedule/record.ts';
export type { SentBoundary } from '../shared/sent-boundary.ts';
export type { Tensor, Tensors } from '../shared/tensor.ts';
export type { StreamResult } from './stream.ts';

export interface ClientOptions {
  /** The gateway: `https://host:port`. */
  readonly url: string;
  /** Name of a model that it serves. */
  readonly model: string;
  /**
   * Which label may send what. Without one nothing leaves the device. The gateway has a policy of its own; the stricter
   * of the two holds.
   */
  readonly policy?: PolicyInput | undefined;
  /**
   * SHA-256 of the bundle's plan.json, in hex (`sha256sum`): any other plan is refused with BAD_PLAN. Without it the names and the
   * leakage that a policy goes by are what the gateway says that they are.
   */
  readonly planSha256?: string | undefined;
  /** Whether what the gateway says of requests comes with a signed receipt; default true. It adds about half a kB to each. */
  readonly receipts?: boolean | undefined;
  /**
   * Who this client is; an empty text is nobody. Asked again for every connection, so that a token may expire, but not while it is
   * still being asked for, as somebody may be logging in: give what fetches one a time limit of its own.
   */
  readonly token?: string | (() => string | Promise<string>) | undefined;
  /** How much of the plan's first metric may be lost against the whole model; default 0.02. */
  readonly accuracyDropMax?: number | undefined;
  /** What counts in choosing where to run: time, the battery, bytes sent, the gateway's work, accuracy; default: time alone. */
  readonly objective?: ObjectiveInput | undefined;
  /**
   * Whether to fetch the model's segments at once; default true, but where the user asked to save data. Until they are here,
   * or `prepare` is called, requests go to the gateway or nowhere.
   */
  readonly download?: boolean | undefined;
  /** Called with the client before anything is fetched, to listen to its events from the first on. */
  readonly monitor?: ((client: ClientEvents) => void) | undefined;
  /** Ends the connecting, and nothing after it. */
  readonly signal?: AbortSignal | undefined;
}

export interface InferOptions {
  /** Privacy class of this request: a label of the policy. One that the policy does not know stays on the device. */
  readonly label?: string | undefined;
  /** Time until the answer must be there, in milliseconds; default 30,000. */
  readonly deadlineMs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Who is to do as much as policy and accuracy let it; without it the fastest way is taken. */
  readonly prefer?: 'device' | 'cloud' | undefined;
  /** Requests of one key are one request, with the first one's deadline: what is under way or was answered under it is the answer. */
  readonly idempotencyKey?: string | undefined;
  /** W3C trace context of the caller, `00-<trace id>-<parent id>-<flags>`: the gateway's log of the request names it. */
  readonly traceparent?: string | undefined;
  /** Forces a cut, for demos and tests. Policy still holds. */
  readonly force?: { readonly k: number; readonly tier?: string | undefined } | undefined;
}

/** Frames of one key would all have the answer of the first. */
export type StreamOptions = Omit<InferOptions, 'idempotencyKey'>;

/** A picture for models that take one, or boundary 0's tensors by name. */
export type Input = Picture | Tensors;

/** What a model takes and gives; `tandem types` writes that of a bundle, for `connect<OcrLine>(...)`. */
export interface ModelTypes {
  readonly input: Input;
  readonly outputs: Tensors;
}

export interface InferResult<T extends ModelTypes = ModelTypes> {
  /** The model's outputs by name. */
  readonly outputs: T['outputs'];
  readonly route: Route;
}

/** Where a request ran and why, what was predicted and what it cost. */
export interface Route {
  /** Segments 1..k ran on the device, the rest in the cloud. K: the device gave the answer. */
  readonly k: number;
  /** How boundary k travelled; null where the device gave the answer. */
  readonly tier: string | null;
  /** What ran segments 1..k on the device; null where it ran none. */
  readonly provider: string | null;
  /** As in `ClientState`. */
  readonly demoted: readonly string[];
  /** One sentence about the choice, for people. */
  readonly why: string;
  readonly label: string;
  /** Value of the plan's size variable. */
  readonly size: number;
  /** The decisions, one at each boundary that the device came to, and after each failure; none of what left before the SDK was there. */
  readonly decisions: readonly Decision[];
  /** What the first decision expected of what was done in the end; null where it was no choice then. */
  readonly predicted: Prediction | null;
  readonly timing: RouteTiming;
  /** Every boundary that left the device for this request, whether its reply was used or not. */
  readonly sent: readonly SentBoundary[];
  /** Bytes of all frames that were sent for this request. */
  readonly bytesUp: number;
  /** Bytes of the frame that brought the answer; 0 where the device gave it. */
  readonly bytesDown: number;
  /**
   * What the gateway signed that it received for the answer that was used; null where the device gave the answer, or there are no
   * receipts. Those of what was sent besides are in `sent`.
   */
  readonly receipt: SignedReceipt | null;
  /** Why the device finished what had been sent, or sent anew; null where all went as decided. */
  readonly fallback: { readonly reason: 'late' | 'failed'; readonly message: string } | null;
}

/** A request that came to nothing. */
export interface FailedRoute {
  /** Why: the code of its TandemError; `ABORTED` where its signal was. */
  readonly error: ErrorCode | 'ABORTED';
  readonly label: string;
  /** Every boundary that left the device for it all the same. */
  readonly sent: readonly SentBoundary[];
  readonly bytesUp: number;
  readonly totalMs: number;
}

/** In the platform's words for models that it brings itself. */
export type AvailabilityStatus = 'unavailable' | 'downloadable' | 'downloading' | 'available';

export interface Availability {
  readonly status: AvailabilityStatus;
  /** Of the engine and the model together. */
  readonly bytesTotal: number;
  /** What is here from an earlier visit. */
  readonly bytesKept: number;
  /** Why it is not `available`. */
  readonly reasons: readonly string[];
}

/** Milliseconds. */
export interface RouteTiming {
  readonly totalMs: number;
  /** Fitting the picture and making the input tensor. */
  readonly preprocessMs: number;
  /** Segments run on the device. */
  readonly deviceMs: number;
  readonly encodeMs: number;
  /** Between sending and having the reply, without the server's own time. */
  readonly networkMs: number;
  /** The server's own account; null where no reply was used. */
  readonly server: MessageOf<'result'>['timing'] | null;
}

export interface ClientState {
  /** `open`: requests can be sent. `refused`: the gateway will not have this client, and `message` says why. */
  readonly link: 'connecting' | 'open' | 'refused' | 'closed';
  readonly message: string | null;
  /** The device's part: `available` once it can run the whole model. */
  readonly device: AvailabilityStatus;
  /** Segments that the device can run, of how many. */
  readonly segmentsReady: number;
  readonly segments: number;
  readonly bytesLoaded: number;
  readonly bytesTotal: number;
  /** Providers that were tried here and are not used: one that was slower, or gave wrong numbers. */
  readonly demoted: readonly string[];
  /** Why no segments come, or null: while `device` is `downloading` they may come all the same. */
  readonly downloadError: string | null;
}

/** What a bug report needs to say, without inputs, outputs, tokens or addresses. */
export interface Diagnostics {
  readonly sdk: string;
  readonly plan: { readonly name: string; readonly id: string };
  readonly state: ClientState;
  /** Observed over planned time, of device and server; milliseconds and bytes a second of the link. */
  readonly estimates: {
    readonly device: number;
    readonly server: number;
    readonly roundTripMs: number;
    readonly uplinkBytesPerS: number;
    readonly downlinkBytesPerS: number;
    readonly queueMs: number;
  };
  /** Requests that were predicted, and the share that took what was said of nine in ten; null before any. */
  readonly calibration: { readonly requests: number; readonly within: number | null };
  /** Of the last requests, the newest last. Those that came to nothing have an `error`. */
  readonly routes: readonly (Omit<Route, 'decisions'> | FailedRoute)[];
}

export interface ReceiptDetail {
  readonly label: string;
  /** The one of the route's `sent`, or of the error's, that it is of: the same object. */
  readonly sent: SentBoundary;
  readonly receipt: SignedReceipt;
}

export interface ClientEventMap {
  /** After every change of `state`. */
  statechange: CustomEvent<ClientState>;
  /** Bytes of the download, engine and model in one: of one plan they never fall, and end at the total. */
  progress: CustomEvent<{ readonly loaded: number; readonly total: number }>;
  /** What the gateway signed of a boundary that left, once for each: also of one whose request has ended by then. */
  receipt: CustomEvent<ReceiptDetail>;
  /** Every decision of every request, as it is made. */
  decision: CustomEvent<{ readonly decision: Decision; readonly label: string }>;
}

export interface ClientEvents {
  addEventListener<T extends keyof ClientEventMap>(
    type: T,
    listener: (event: ClientEventMap[T]) => void,
    options?: AddEventListenerOptions,
  ): void;
  removeEventListener<T extends keyof ClientEventMap>(type: T, listener: (event: ClientEventMap[T]) => void): void;
}

export interface Client<T extends ModelTypes = ModelTypes> extends ClientEvents, AsyncDisposable {
  readonly plan: Plan;
  readonly state: ClientState;
  /**
   * Runs one request, wherever is best. Rejects with the signal's reason when aborted, else with a TandemError:
   * BAD_INPUT; BAD_BOUNDARY, UNKNOWN_TIER or POLICY_DENIED for a forced cut that there is not, or that may not be
   * sent; POLICY_DENIED or UNAVAILABLE where nothing can run it; DEVICE_FAILED; DEADLINE_EXCEEDED; CLOSED. Its `sent` says what
   * had left the device by then; of a request that was aborted only `diagnostics` does.
   */
  infer(input: T['input'], options?: InferOptions): Promise<InferResult<T>>;
  /** What `infer` would decide now, and what it would leave out and why. Runs nothing and sends nothing. */
  explain(input: T['input'], options?: InferOptions): Promise<Decision>;
  /**
   * An answer for the newest frame, again and again: frames that came while one was under way are let go, and frames that can
   * be closed are. Leaving the loop ends it. Rejects as `infer` does.
   */
  stream(
    frames: AsyncIterable<T['input']> | ReadableStream<T['input']>,
    options?: StreamOptions,
  ): AsyncIterable<StreamResult<T>>;
  /**
   * Fetches what the device lacks, if that is not under way, and resolves when it can run the whole model; without a network it
   * waits for one. Rejects with UNAVAILABLE where a file is not to be had or does not load, with DEVICE_FAILED where no device can be
   * made, with CLOSED, or with the signal's reason.
   */
  prepare(options?: { readonly signal?: AbortSignal | undefined }): Promise<void>;
  /** For bug reports: what this client is, has measured and did last. Says nothing of what was asked and answered. */
  diagnostics(): Diagnostics;
  /** A file that the plan lists under `assets`, checked. Throws NOT_FOUND, BAD_BUNDLE or UNAVAILABLE. */
  asset(name: string): Promise<Uint8Array>;
  /** Ends the connection, the download and the device. Requests under way reject with CLOSED. */
  close(): Promise<void>;
}
