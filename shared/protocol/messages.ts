/**
 * The messages, as types: client-messages.ts and server-messages.ts have the one parser for each direction, of which a side loads
 * the one that it needs; frames.ts tells how messages become bytes.
 */
import type { ClientMessage } from './client-messages.ts';
import type { ServerMessage } from './server-messages.ts';

export type { ClientMessage } from './client-messages.ts';
export type { Load, ServerMessage } from './server-messages.ts';
export type Message = ClientMessage | ServerMessage;
/** One message by its type. */
export type MessageOf<T extends Message['type']> = Extract<Message, { type: T }>;
