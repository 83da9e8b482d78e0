/** The platform's WebSocket, as browsers, React Native and others have it, as a channel of the protocol. */
import type { Channel, Connector } from '../shared/protocol/channel.ts';
import { type Hello, hasHeardHello, offeredProtocols } from '../shared/protocol/opening-hello.ts';

/** @param hello said with the opening, by a connection of which the gateway is to hear as soon as it can */
export function webSocketConnector(url: string, Socket: typeof WebSocket, hello?: Hello): Connector {
  return (events) => {
    const socket = hello ? new Socket(url, offeredProtocols(hello)) : new Socket(url);
    socket.binaryType = 'arraybuffer';
    socket.onopen = () => events.onOpen();
    socket.onmessage = ({ data }) => {
      // Text is no frame of ours; an empty one makes the link say so.
      events.onFrame(data instanceof ArrayBuffer ? new Uint8Array(data) : new Uint8Array());
    };
    socket.onclose = ({ code, reason }) => events.onClose(code, reason);
    const channel: Channel = {
      send(frame) {
        if (socket.readyState === Socket.OPEN) socket.send(frame as Uint8Array<ArrayBuffer>);
      },
      // Browsers let pages close with 1000 and 3000-4999 only.
      close: (code, reason) => socket.close(code === 1000 || code >= 3000 ? code : 1000, reason),
      get bufferedBytes() {
        return socket.bufferedAmount;
      },
      get hasSaidHello() {
        return hasHeardHello(socket.protocol);
      },
    };
    return channel;
  };
}
