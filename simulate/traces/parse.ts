/**
 * Files of network measurements -> what they say, told apart by their content: packet times of mahimahi, rates over
 * time, probes of the radio's wake-up, pings. Every error names file and line.
 */
import { TandemError } from '../../shared/errors.ts';
import { Capacity, type Piece } from '../capacity.ts';

export type TraceFile =
  | { readonly type: 'capacity'; readonly capacity: Capacity }
  /** Round trips in the order of their time, a second apart. */
  | { readonly type: 'pings'; readonly samplesMs: readonly number[] }
  /** Round trips after idling, by rising idle time. */
  | {
      readonly type: 'wake-up';
      readonly samples: readonly { readonly idleMs: number; readonly roundTripMs: number }[];
    };

/** Of a packet of mahimahi's. */
const PACKET_BYTES = 1500;
const LINES_MAX = 5_000_000;
/** A rate or a time beyond these is no measurement. */
const MBPS_MAX = 1e6;
const MS_MAX = 1e9;

const PACKET = /^\d+$/;
const NUMBER = '[+-]?(?:\\d+\\.?\\d*|\\.\\d+)(?:[eE][+-]?\\d+)?';
const RATE = new RegExp(`^(${NUMBER})[ \\t]+(${NUMBER})$`);

interface Line {
  readonly text: string;
  readonly number: number;
}

/**
 * @param what the file, for errors
 * @throws BAD_INPUT for a file of no known format, or with a line that does not fit it
 */
export function parseTraceFile(text: string, what: string): TraceFile {
  const lines = linesOf(text, what);
  const [first] = lines;
  if (!first) throw new TandemError('BAD_INPUT', `${what}: expected a network trace, got an empty file`);
  if (PACKET.test(first.text)) return { type: 'capacity', capacity: capacityOf(packetPieces(lines, what), what) };
  if (RATE.test(first.text)) return { type: 'capacity', capacity: capacityOf(ratePieces(lines, what), what) };
  const columns = first.text.split(',').map((name) => name.trim());
  if (columns.includes('interval') && columns.includes('RTT1')) return parseWakeUp(lines, columns, what);
  if (columns.includes('RTT [ms]')) return parsePings(lines, columns, what);
  throw bad(what, first, 'packet times, "seconds Mbit/s", or a CSV with the columns interval and RTT1, or RTT [ms]');
}

function linesOf(text: string, what: string): Line[] {
  const lines: Line[] = [];
  let number = 0;
  let start = 0;
  while (start <= text.length) {
    const end = text.indexOf('\n', start);
    const line = text.slice(start, end < 0 ? text.length : end).trim();
    number++;
    if (number > LINES_MAX) throw new TandemError('BAD_INPUT', `${what}: expected at most ${LINES_MAX} lines`);
    if (line !== '') lines.push({ text: line, number });
    if (end < 0) break;
    start = end + 1;
  }
  return lines;
}

function bad(what: string, { text, number }: Line, expected: string): TandemError {
  return new TandemError('BAD_INPUT', `${what}, line ${number}: expected ${expected}, got ${text.slice(0, 60)}`);
}

interface Timeline {
  readonly pieces: readonly Piece[];
  readonly periodMs: number;
}

function capacityOf({ pieces, periodMs }: Timeline, what: string): Capacity {
  try {
    return new Capacity(pieces, periodMs);
  } catch {
    throw new TandemError('BAD_INPUT', `${what}: the trace carries nothing at any time`);
  }
}

/** A packet may leave in the millisecond that ends at its time; the last time is where the trace begins anew. */
function packetPieces(lines: readonly Line[], what: string): Timeline {
  const pieces: Piece[] = [];
  let endMs = 0;
  for (let i = 0; i < lines.length; ) {
    const line = lines[i] as Line;
    const atMs = PACKET.test(line.text) ? Number(line.text) : Number.NaN;
    if (!(atMs >= endMs - 1 && atMs <= MS_MAX)) throw bad(what, line, 'a whole millisecond, not before the last');
    let packets = 0;
    while (lines[i]?.text === line.text) {
      packets++;
      i++;
    }
    const startMs = Math.max(0, atMs - 1);
    if (startMs > endMs) pieces.push({ atMs: endMs, rate: 0 });
    // Times 0 and 1 share the first millisecond.
    const sharing = startMs < endMs ? pieces.pop() : undefined;
    pieces.push({ atMs: startMs, rate: packets * PACKET_BYTES + (sharing?.rate ?? 0) });
    endMs = startMs + 1;
  }
  return { pieces, periodMs: endMs };
}

/** A rate holds until the next line, the last for as long as the one before; of two at one time the later holds. */
function ratePieces(lines: readonly Line[], what: string): Timeline {
  const pieces: Piece[] = [];
  let originMs = 0;
  let lastMs = Number.NEGATIVE_INFINITY;
  for (const [i, line] of lines.entries()) {
    const [, seconds, mbps] = RATE.exec(line.text) ?? [];
    const atMs = Number(seconds) * 1000;
    const rate = Number(mbps);
    if (!(atMs >= lastMs && atMs <= MS_MAX && rate >= 0 && rate <= MBPS_MAX)) {
      throw bad(what, line, 'seconds that do not fall and a rate in Mbit/s of 0 or more');
    }
    if (i === 0) originMs = atMs;
    if (atMs === lastMs) pieces.pop();
    pieces.push({ atMs: atMs - originMs, rate: bytesPerMs(rate) });
    lastMs = atMs;
  }
  const endMs = lastMs - originMs;
  const stepMs = endMs - (pieces.at(-2)?.atMs ?? endMs - 1000);
  return { pieces, periodMs: endMs + stepMs };
}

function parseWakeUp([, ...lines]: readonly Line[], columns: readonly string[], what: string): TraceFile {
  const [intervalAt, roundTripAt, keepAt] = ['interval', 'RTT1', 'KeepOrDrop'].map((name) => columns.indexOf(name));
  const samples: { idleMs: number; roundTripMs: number }[] = [];
  for (const line of lines) {
    const cells = line.text.split(',').map((cell) => cell.trim());
    const idleMs = positive(cells[intervalAt as number]) * 1000;
    const roundTripMs = positive(cells[roundTripAt as number]);
    if (cells.length !== columns.length || !(idleMs <= MS_MAX)) {
      throw bad(what, line, `${columns.length} cells, with seconds idle under interval`);
    }
    // Rows that were disturbed by other traffic or lost are marked, and have no figure that means anything.
    if (keepAt !== undefined && keepAt >= 0 && !/^(yep|keep)$/i.test(cells[keepAt] ?? '')) continue;
    if (!(roundTripMs <= MS_MAX)) throw bad(what, line, 'milliseconds under RTT1');
    samples.push({ idleMs, roundTripMs });
  }
  if (samples.length === 0) throw new TandemError('BAD_INPUT', `${what}: no row is kept`);
  samples.sort((a, b) => a.idleMs - b.idleMs);
  return { type: 'wake-up', samples };
}

function parsePings([, ...lines]: readonly Line[], columns: readonly string[], what: string): TraceFile {
  const at = columns.indexOf('RTT [ms]');
  const samplesMs = lines.map((line) => {
    const ms = positive(line.text.split(',')[at]?.trim());
    if (!(ms <= MS_MAX)) throw bad(what, line, 'milliseconds under RTT [ms]');
    return ms;
  });
  if (samplesMs.length === 0) throw new TandemError('BAD_INPUT', `${what}: expected at least one ping`);
  return { type: 'pings', samplesMs };
}

/** NaN for what is no number of 0 or more. */
function positive(cell: string | undefined): number {
  const value = cell === undefined || cell === '' ? Number.NaN : Number(cell);
  return value >= 0 ? value : Number.NaN;
}

export function bytesPerMs(mbps: number): number {
  return (mbps * 1e6) / 8 / 1000;
}
