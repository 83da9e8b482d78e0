/** A request that left before the SDK had come, as the core takes it over: what was sent, and the gateway's answer to it. */
import type { Payload } from '../shared/codec/boundary.ts';
import { asTandemError, TandemError } from '../shared/errors.ts';
import { decodeJsonFrame } from '../shared/protocol/read-json-frame.ts';
import { parseServerMessage } from '../shared/protocol/server-messages.ts';
import { failureOf, type InferRequest, type Pending, type Reply } from './connection.ts';
import type { Input } from './types.ts';

export interface Begun {
  /** As the core takes it. */
  readonly input: Input;
  readonly request: Omit<InferRequest, 'shapes'>;
  readonly payload: Payload;
  /** Value of the plan's size variable. */
  readonly size: number;
  /** What receipts are signed with; null where none are asked for, or none are given. */
  readonly receiptKey: string | null;
  /** Bytes of the frame. */
  readonly bytesUp: number;
  readonly preprocessMs: number;
  readonly encodeMs: number;
  /** The frame that came back, and after how many milliseconds. Rejects where none came. */
  readonly response: Promise<{ readonly frame: Uint8Array; readonly elapsedMs: number }>;
  /** Ends it, at the gateway too: what that would have signed is not heard any more. */
  cancel(): void;
}

/** As if the link had sent it. */
export function pendingOf({ bytesUp, response, cancel }: Begun): Pending {
  const answer = response.then(({ frame, elapsedMs }) => {
    const { header, parts } = decodeJsonFrame(frame);
    return { message: parseServerMessage(header), parts, bytesDown: frame.byteLength, elapsedMs };
  });
  const reply = answer.then(
    ({ message, ...rest }): Reply => {
      if (message.type === 'result') return { message, ...rest, bytesUp, bytesAhead: 0 };
      if (message.type !== 'error') throw new TandemError('BAD_MESSAGE', `expected a result, got ${message.type}`);
      throw failureOf(message);
    },
    (error: unknown) => {
      throw asTandemError(error, 'UNAVAILABLE', 'what had left early');
    },
  );
  const lastWord = answer.then(
    ({ message }) => (message.type === 'result' || message.type === 'error' ? message : null),
    () => null,
  );
  return { reply, lastWord, bytesUp, cancel };
}
