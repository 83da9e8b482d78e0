/** Parsed files -> networks: pairs up uplink and downlink, and fills in what was not measured, saying so. */
import { Capacity } from '../capacity.ts';
import { bytesPerMs, type TraceFile } from './parse.ts';
import { NO_SLEEP, type RoundTrip, stepWakeUp, type Trace } from './trace.ts';

export interface NamedFile {
  readonly name: string;
  readonly collection: string;
  readonly file: TraceFile;
}

/** What holds where a file does not say. */
export interface LinkDefaults {
  readonly roundTripMs: number;
  readonly roundTripSpread: number;
  /** Uplink over downlink, where only one of them was measured. */
  readonly uplinkShare: number;
  /** Of the uplink, where only round trips were measured. */
  readonly mbps: number;
  /** A cellular radio sleeps after this much idling, and takes that much to wake up. */
  readonly idleMs: number;
  readonly wakeMs: number;
}

/** Collections of links without a radio that sleeps, by their name: the files do not say what they were recorded on. */
const ALWAYS_AWAKE = /broadband|cable|dsl|fib(re|er)|ethernet|wired|wi-?fi|wlan/i;

/** LTE in the middle: the three LTE and UMTS pairs of mahimahi have uplinks of 0.4 to 0.8 of their downlinks. */
export const LINK_DEFAULTS: LinkDefaults = {
  roundTripMs: 50,
  roundTripSpread: 0.15,
  uplinkShare: 0.4,
  mbps: 5,
  idleMs: 10_000,
  wakeMs: 400,
};

export function assembleTraces(files: readonly NamedFile[], defaults: LinkDefaults = LINK_DEFAULTS): Trace[] {
  const uplinks = new Map<string, Capacity>();
  const downlinks = new Map<string, Capacity>();
  for (const { name, collection, file } of files) {
    if (file.type !== 'capacity') continue;
    if (name.endsWith('.up')) uplinks.set(keyOf(collection, name), file.capacity);
    if (name.endsWith('.down')) downlinks.set(keyOf(collection, name), file.capacity);
  }
  return files.flatMap(({ name, collection, file }) => {
    const bare = name.replace(/\.(up|down)$/, '');
    const base = { name: bare, collection };
    if (file.type === 'pings') return [pingTrace(base, file.samplesMs, defaults)];
    if (file.type === 'wake-up') return [wakeUpTrace(base, file.samples, defaults)];
    const key = keyOf(collection, name);
    if (name.endsWith('.up')) {
      const down = downlinks.get(key);
      return down ? [] : [upOnly(base, file.capacity, defaults)];
    }
    const up = name.endsWith('.down') ? uplinks.get(key) : undefined;
    return [up ? networkOf(base, { up, down: file.capacity }, defaults, []) : downOnly(base, file.capacity, defaults)];
  });
}

function keyOf(collection: string, name: string): string {
  return `${collection}/${name.replace(/\.(up|down)$/, '')}`;
}

type Base = Pick<Trace, 'name' | 'collection'>;

/** @param remarks what of its capacity was not measured */
function networkOf(
  base: Base,
  { up, down }: Pick<Trace, 'up' | 'down'>,
  defaults: LinkDefaults,
  remarks: readonly string[],
): Trace {
  const sleep = sleepOf(base.collection, defaults);
  return {
    ...{ ...base, up, down, roundTrip: constantRoundTrip(defaults), wakeUp: sleep.wakeUp },
    remarks: [...remarks, `a round trip of ${defaults.roundTripMs} ms is assumed`, ...sleep.remarks],
  };
}

function downOnly(base: Base, down: Capacity, defaults: LinkDefaults): Trace {
  const remark = `uplink is taken as ${defaults.uplinkShare} of the measured downlink`;
  return networkOf(base, { up: down.scaled(defaults.uplinkShare), down }, defaults, [remark]);
}

function upOnly(base: Base, up: Capacity, defaults: LinkDefaults): Trace {
  const remark = `downlink is taken as ${1 / defaults.uplinkShare} of the measured uplink`;
  return networkOf(base, { up, down: up.scaled(1 / defaults.uplinkShare) }, defaults, [remark]);
}

/** Capacity that is not measured: constant. */
export function constantLink({ mbps, uplinkShare }: Pick<LinkDefaults, 'mbps' | 'uplinkShare'>) {
  return { up: Capacity.constant(bytesPerMs(mbps)), down: Capacity.constant(bytesPerMs(mbps / uplinkShare)) };
}

function pingTrace(base: Base, samplesMs: readonly number[], defaults: LinkDefaults): Trace {
  const roundTrip = { samplesMs, everyMs: 1000, spread: 0 };
  const sleep = sleepOf(base.collection, defaults);
  const remarks = [`round trips were measured, ${defaults.mbps} Mbit/s of uplink are assumed`, ...sleep.remarks];
  return { ...base, ...constantLink(defaults), roundTrip, wakeUp: sleep.wakeUp, remarks };
}

/** A radio that is awake has the least round trip; what comes on top after idling is the wake-up. */
function wakeUpTrace(
  base: Base,
  samples: readonly { readonly idleMs: number; readonly roundTripMs: number }[],
  defaults: LinkDefaults,
): Trace {
  const busy = samples.slice(0, Math.max(1, Math.ceil(samples.length / 100))).map(({ roundTripMs }) => roundTripMs);
  const awakeMs = busy.sort((a, b) => a - b)[busy.length >> 1] as number;
  const wakeUp = {
    samples: samples.map(({ idleMs, roundTripMs }) => ({ idleMs, extraMs: Math.max(0, roundTripMs - awakeMs) })),
  };
  const roundTrip = constantRoundTrip({ ...defaults, roundTripMs: awakeMs });
  const remarks = [`wake-ups were measured, ${defaults.mbps} Mbit/s of uplink are assumed`];
  return { ...base, ...constantLink(defaults), roundTrip, wakeUp, remarks };
}

export function constantRoundTrip({
  roundTripMs,
  roundTripSpread,
}: Pick<LinkDefaults, 'roundTripMs' | 'roundTripSpread'>): RoundTrip {
  return { samplesMs: [roundTripMs], everyMs: 1000, spread: roundTripSpread };
}

/** What a link whose wake-up was not measured does after idling. */
export function sleepOf(collection: string, { idleMs, wakeMs }: LinkDefaults): Pick<Trace, 'wakeUp' | 'remarks'> {
  if (ALWAYS_AWAKE.test(collection)) return { wakeUp: NO_SLEEP, remarks: ['no radio that sleeps is assumed'] };
  const remark = `a radio that sleeps after ${idleMs / 1000} s and takes ${wakeMs} ms to wake up is assumed`;
  return { wakeUp: stepWakeUp(idleMs, wakeMs), remarks: [remark] };
}
