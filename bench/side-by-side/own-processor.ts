/**
 * Comes first in what is not the browser's: servers and the link, which elsewhere have processors of their own, go before it here,
 * as far as this machine lets them. Threads that are made later do as well.
 */
import { setPriority } from 'node:os';

const BEFORE_OTHERS = -10;

try {
  setPriority(BEFORE_OTHERS);
} catch {
  process.stderr.write('servers and the link share processors with the browser: no right to a higher priority\n');
}
