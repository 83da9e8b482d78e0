/** Two ends of a connection in one process: what one sends, the other receives, in order and never within the call. */
import type { Channel, ChannelEvents } from '../../shared/protocol/channel.ts';

export interface ChannelEnd extends Channel {
  /** What the other end does arrives here. */
  events: Pick<ChannelEvents, 'onFrame' | 'onClose'>;
  bufferedBytes: number;
}

/** @param later what delivers, in order: at once after the call, or after a delay */
export function channelPair(later: (action: () => void) => void = queueMicrotask): [ChannelEnd, ChannelEnd] {
  let isClosed = false;
  const makeEnd = (other: () => ChannelEnd): ChannelEnd => ({
    events: { onFrame() {}, onClose() {} },
    bufferedBytes: 0,
    send(frame) {
      const copy = new Uint8Array(frame);
      if (!isClosed) later(() => other().events.onFrame(copy));
    },
    close(code, reason) {
      if (isClosed) return;
      isClosed = true;
      queueMicrotask(() => {
        a.events.onClose(code, reason);
        b.events.onClose(code, reason);
      });
    },
  });
  const a: ChannelEnd = makeEnd(() => b);
  const b: ChannelEnd = makeEnd(() => a);
  return [a, b];
}
