/**
 * The request that a page begins before the SDK has come: its first picture, over HTTP, for a WebSocket takes two more round trips.
 * It is sent where policy plainly allows it, and in the form that is smallest; whatever stands in its way is left to the SDK, and
 * nothing is sent here.
 */
import type { PictureEncoder } from '../shared/codec/picture.ts';
import type { Plan } from '../shared/plan.ts';
import { fitPicture, pictureShape } from '../shared/preprocess/picture.ts';
import type { Picture } from '../shared/preprocess/resize.ts';
import { encodeJsonFrame } from '../shared/protocol/json-frame.ts';
import { DEADLINE_MS_DEFAULT } from '../shared/protocol/limits.ts';
import type { MessageOf } from '../shared/protocol/messages.ts';
import { INFER_PATH, WELCOME_PATH } from '../shared/protocol/paths.ts';
import { boundaryBytes, costTable, isTooInaccurate, type TableRow } from '../shared/schedule/table.ts';
import type { Begun } from './begun.ts';
import type { BrowserInput } from './browser.ts';
import { isPlainIn, isPlainOf } from './plainly-allowed.ts';
import type { Token } from './token.ts';
import type { ClientOptions, Input } from './types.ts';

export interface FirstRequest {
  /** The very object that `infer` will be given, or a promise of it. */
  readonly input: BrowserInput | PromiseLike<BrowserInput>;
  /** The label that `infer` will be given. */
  readonly label: string;
}

export interface First {
  /** Once, by who is asked for this input: what has left of it. Null where nothing has, and then nothing will. */
  take(input: BrowserInput): Begun | null;
  /** Ends what nobody has taken. */
  close(): void;
}

/** What it needs of the browser. */
export interface FirstPlatform {
  readonly fetch: typeof fetch;
  readonly pictures: PictureEncoder;
  /** Milliseconds, of which the difference is meant. */
  now(): number;
  inputOf(input: BrowserInput): Promise<Input>;
}

/** What is begun beside it, and the gateway's address. */
export interface FirstContext {
  readonly base: string;
  readonly token: Token;
  /** Of the plan's head. */
  readonly head: Promise<Response>;
}

export interface FirstOptions extends Pick<ClientOptions, 'policy' | 'accuracyDropMax' | 'receipts'> {
  readonly first?: FirstRequest | undefined;
  /** Key of the plan's device targets; default `wasm`. */
  readonly target?: string | undefined;
}

const REQUEST_ID = 1;
/** What the gateway grants is believed for so long. */
const WELCOME_MS_MAX = 10_000;
const FRAME_TYPE = 'application/octet-stream';

/** Null where there is nothing to begin. */
export function beginFirst(options: FirstOptions, context: FirstContext, platform: FirstPlatform): First | null {
  const { first, policy } = options;
  if (!first || !isPlainIn(policy, first.label)) return null;
  const giveUp = new AbortController();
  const { signal } = giveUp;
  let input: BrowserInput | undefined;
  let begun: Begun | null = null;
  let isTaken = false;
  const begin = async () => {
    const askedMs = platform.now();
    const ready = readyOf(context, platform, signal);
    ready.catch(() => {});
    input = await first.input;
    const picture = (await platform.inputOf(input)) as Picture;
    // By then the SDK is there.
    if (platform.now() - askedMs > WELCOME_MS_MAX) return;
    const made = await make(options, first.label, picture, await ready, platform);
    if (made && !signal.aborted) begun = post(made, await ready, context, platform, giveUp);
  };
  // What is wrong the SDK finds as well, and says.
  begin().catch(() => {});
  return {
    take(wanted) {
      // It may be what is asked for: what has not left by now would leave twice.
      if (!input) giveUp.abort();
      if (isTaken || input !== wanted) return null;
      isTaken = true;
      if (!begun) giveUp.abort();
      return begun;
    },
    close() {
      if (!isTaken) giveUp.abort();
    },
  };
}

/** What the gateway says before anything is sent: believed as far as it is plain, for the SDK has not checked it. */
interface Ready {
  readonly plan: Plan;
  readonly welcome: MessageOf<'welcome'>;
  readonly headers: Readonly<Record<string, string>>;
}

async function readyOf(
  { base, token, head }: FirstContext,
  { fetch }: FirstPlatform,
  signal: AbortSignal,
): Promise<Ready> {
  const ask = async () => {
    const text = await token;
    const headers = text === null ? {} : { Authorization: `Bearer ${text}` };
    // Without headers of its own it is the one that a page has preloaded.
    const response = await fetch(`${base}${WELCOME_PATH}`, text === null ? { signal } : { signal, headers });
    return { welcome: await response.json(), headers };
  };
  // The SDK reads the head as well, and is not to be first: a body that is read cannot be cloned.
  const [plan, asked] = await Promise.all([head.then((response) => response.clone().json()), ask()]);
  return { plan, ...asked };
}

type Made = Omit<Begun, 'response' | 'cancel' | 'bytesUp'> & { readonly frame: Uint8Array<ArrayBuffer> };

/** The request as a frame. Null where it may not be sent, or not in any form that this browser can make. */
async function make(
  { target = 'wasm', accuracyDropMax, receipts = true }: FirstOptions,
  label: string,
  input: Picture,
  { plan, welcome }: Ready,
  { pictures, now }: FirstPlatform,
): Promise<Made | null> {
  const isServed = welcome.plans.some(({ id }) => id === plan.id);
  if (!isServed || !plan.preprocess || !isPlainOf(welcome, label)) return null;
  const startMs = now();
  const picture = fitPicture(input, plan.preprocess, plan.size);
  const fittedMs = now();
  const bytesOf = (row: TableRow) => boundaryBytes(row, picture.width);
  const fitting = costTable(plan, target).rows.filter((row) => row.k === 0 && !isTooInaccurate(row, accuracyDropMax));
  for (const { tier: name } of fitting.sort((a, b) => bytesOf(a) - bytesOf(b))) {
    const tier = plan.boundaries[0]?.tiers.find((each) => each.name === name);
    const bytes = tier?.type === 'picture' && (await pictures.encode(picture, tier.format, tier.quality));
    if (!tier || !bytes) continue;
    const payload = { parts: [bytes], shapes: [pictureShape(picture)] };
    const request = {
      ...{ plan: plan.id, k: 0, tier: tier.name, label, noise: [], retain: true },
      ...{ deadlineMs: DEADLINE_MS_DEFAULT, trace: null },
    };
    const frame = encodeJsonFrame(
      { type: 'infer', id: REQUEST_ID, ...request, ...payload, parts: [bytes.byteLength] },
      payload.parts,
    );
    if (frame.byteLength > welcome.limits.frameBytesMax) continue;
    return {
      ...{ input, request, payload, frame },
      size: picture.width,
      receiptKey: receipts ? welcome.receiptKey : null,
      preprocessMs: fittedMs - startMs,
      encodeMs: now() - fittedMs,
    };
  }
  return null;
}

function post(
  { frame, ...made }: Made,
  { headers }: Ready,
  { base }: FirstContext,
  { fetch, now }: FirstPlatform,
  giveUp: AbortController,
): Begun {
  const sentMs = now();
  const answer = async () => {
    const query = made.receiptKey === null ? '?receipts=no' : '';
    // Without a type: browsers would ask first whether it may be sent.
    const init = { method: 'POST', body: frame, headers, signal: giveUp.signal };
    const response = await fetch(`${base}${INFER_PATH}${query}`, init);
    const body = new Uint8Array(await response.arrayBuffer());
    if (!response.headers.get('Content-Type')?.startsWith(FRAME_TYPE)) throw new Error(`HTTP ${response.status}`);
    return { frame: body, elapsedMs: now() - sentMs };
  };
  const response = answer();
  // It may fail before anybody waits for it.
  response.catch(() => {});
  return { ...made, response, bytesUp: frame.byteLength, cancel: () => giveUp.abort() };
}
