/** What a connection is to the protocol: a way to send whole frames, and to be told of them. No socket library here. */

export interface Channel {
  /** Hands one frame to the connection. Does nothing once closed. */
  send(frame: Uint8Array): void;
  /** Starts closing. `code` is a WebSocket close code: 1000, 1001 or 3000-4999. */
  close(code: number, reason: string): void;
  /** Bytes handed over that the network has not taken yet. */
  readonly bufferedBytes: number;
  /** Bytes of frames that have come, those included of one that is not whole yet; missing where the host does not see them. */
  readonly bytesReceived?: number;
  /** Whether the peer heard a hello as it opened: none is to be said then. Known once it is open. */
  readonly hasSaidHello?: boolean;
}

export interface ChannelEvents {
  onOpen(): void;
  onFrame(frame: Uint8Array): void;
  /** Once, last, also where the connection never opened. */
  onClose(code: number, reason: string): void;
}

/** Opens a connection. Events come later, never within the call. */
export type Connector = (events: ChannelEvents) => Channel;
