/** Which pages may ask the gateway for something. */
import type { IncomingMessage } from 'node:http';

export function isAllowedOrigin(origins: readonly string[], origin: string): boolean {
  return origins.includes('*') || origins.includes(origin);
}

/** Whether a page of `origin` is the gateway's own, by its Host header. */
export function isSameHost(origin: string, host: string | undefined): boolean {
  return URL.canParse(origin) && new URL(origin).host === host;
}

const TOLD_MAX = 100;
const TEXT_LENGTH_MAX = 200;

/** Tells the operator, once each, of pages whose browsers will not let them ask: they have no other way to say so. */
export function strangers(
  origins: readonly string[],
  tell: (line: string) => void,
): (request: IncomingMessage) => void {
  const told = new Set<string>();
  return ({ headers: { origin, host } }) => {
    if (origin === undefined || isAllowedOrigin(origins, origin) || isSameHost(origin, host)) return;
    const name = quoted(origin);
    if (told.has(name) || told.size >= TOLD_MAX) return;
    told.add(name);
    // A proxy may have put another Host there than the page's own.
    tell(`pages of ${name} may not ask: the configuration's origins do not list it, and Host is ${quoted(host ?? '')}`);
  };
}

function quoted(text: string): string {
  return JSON.stringify(text.slice(0, TEXT_LENGTH_MAX));
}
