/** A server below a path of another, as a reverse proxy puts it there: a relay that changes each request's line. */
import { type Relay, relayTo } from './relay.ts';

/**
 * @param path with a slash at both ends; requests for others find nothing
 * @returns its address, with the path
 */
export async function belowPath(serverUrl: string, path: string): Promise<Relay> {
  const line = new RegExp(`^([A-Z]+) ${path}`);
  const relay = await relayTo(
    serverUrl,
    () => {},
    (piece) => {
      // Browsers send a request's head in one piece, and no two at once.
      const text = piece.toString('latin1');
      const mapped = line.test(text) ? text.replace(line, '$1 /') : text.replace(/^([A-Z]+) \//, '$1 /elsewhere/');
      return Buffer.from(mapped, 'latin1');
    },
  );
  return { ...relay, url: relay.url + path };
}
