import { describe, expect, test } from 'vitest';
import { assembleTraces, LINK_DEFAULTS } from '../../simulate/traces/assemble.ts';
import { bytesPerMs, parseTraceFile, type TraceFile } from '../../simulate/traces/parse.ts';
import { fixedRateTrace, SYNTHETIC_KINDS, syntheticTraces } from '../../simulate/traces/synthetic.ts';
import { stepWakeUp, type Trace, wakeUpMs } from '../../simulate/traces/trace.ts';
import { tandemError } from '../shared/tandem-error.ts';

function capacityOf(text: string) {
  const file = parseTraceFile(text, 'file');
  if (file.type !== 'capacity') throw new Error(`expected capacity, got ${file.type}`);
  return file.capacity;
}

function wakeUpAfterMinute(trace: Trace | undefined): number {
  return trace ? wakeUpMs(trace.wakeUp, 60_000, 0.5) : Number.NaN;
}

describe('packet times of mahimahi', () => {
  const capacity = capacityOf('0\n3\n3\n10\n');

  test('are packets of 1500 bytes in the millisecond before each', () => {
    expect(capacity.periodMs).toBe(10);
    expect(capacity.perPeriod).toBe(4 * 1500);
    expect(capacity.finish(0, 1500)).toBe(1);
    expect(capacity.finish(1, 3000)).toBe(3);
    expect(capacity.finish(3, 1500)).toBe(10);
  });

  test('begin anew at the last', () => {
    expect(capacity.finish(10, 1500)).toBe(11);
  });

  test('share the first millisecond', () => {
    expect(capacityOf('0\n1\n2\n').finish(0, 3000)).toBe(1);
  });
});

describe('rates over time', () => {
  test('hold until the next line, the last for as long as the one before, with tabs or spaces', () => {
    for (const separator of ['\t', ' ', '  ']) {
      const capacity = capacityOf([`5.0${separator}1`, `7${separator}0`, `8${separator}2.5e0`].join('\n'));
      expect(capacity.periodMs).toBe(4000);
      expect([0, 1999, 2000, 3000].map((ms) => capacity.rateAt(ms))).toEqual([125, 125, 0, bytesPerMs(2.5)]);
    }
  });

  test('may name a time twice: the later holds', () => {
    const capacity = capacityOf('0 1\n1 2\n1 4\n2 1\n');
    expect(capacity.rateAt(1000)).toBe(bytesPerMs(4));
    expect(capacity.periodMs).toBe(3000);
  });
});

describe('probes of the radio', () => {
  const HEAD = 'enabled_radio_type,carrier,interval,RTT1,RTT2,active_radio_type,KeepOrDrop';

  test('give round trips by idle time, without rows that were disturbed', () => {
    const rows = ['4G,V,1,100,100,4,YEP', '4G,V,0.5,60,60,4,keep', '4G,V,2,999,999,4,BAD', '4G,V,3,,,4,DIS'];
    expect(parseTraceFile([HEAD, ...rows].join('\r\n'), 'file')).toEqual({
      type: 'wake-up',
      samples: [
        { idleMs: 500, roundTripMs: 60 },
        { idleMs: 1000, roundTripMs: 100 },
      ],
    });
  });

  test('become what waking up costs above the least', () => {
    const file = parseTraceFile([HEAD, '4G,V,0,50,50,4,YEP', '4G,V,10,850,850,4,YEP'].join('\n'), 'file');
    const [trace] = assembleTraces([{ name: 'a', collection: 'c', file }]);
    expect(trace?.roundTrip.samplesMs).toEqual([50]);
    expect(trace?.wakeUp.samples).toEqual([
      { idleMs: 0, extraMs: 0 },
      { idleMs: 10_000, extraMs: 800 },
    ]);
    expect(trace?.remarks).toEqual([expect.stringContaining('5 Mbit/s of uplink are assumed')]);
  });
});

test('pings give round trips in their order', () => {
  const text = 'Probe Number,RTT [ms],Probe Send Time\n1,169,11:30:45\n2,126.3,11:30:46\n';
  expect(parseTraceFile(text, 'file')).toEqual({ type: 'pings', samplesMs: [169, 126.3] });
});

describe('a malformed trace is refused with its file and line:', () => {
  const PING = 'Probe Number,RTT [ms]\n';
  const PROBE = 'interval,RTT1,KeepOrDrop\n';
  test.each([
    ['an empty file', ' \n', 'traces/x: expected a network trace'],
    ['prose', 'hello there\n', 'traces/x, line 1'],
    ['a time that goes back', '5\n\n3\n', 'traces/x, line 3'],
    ['packets, then a rate', '5\n6 1.0\n', 'traces/x, line 2'],
    ['a negative rate', '0 1\n1 -2\n', 'traces/x, line 2'],
    ['seconds that fall', '0 1\n2 1\n1 1\n', 'traces/x, line 3'],
    ['a rate that is no number', '0 1\n1 fast\n', 'traces/x, line 2'],
    ['a rate that nothing has', '0 1\n1 1e300\n', 'traces/x, line 2'],
    ['a third column', '0 1\n1 2 3\n', 'traces/x, line 2'],
    ['no capacity at all', '0 0\n1 0\n', 'traces/x: the trace carries nothing'],
    ['a ping without its time', `${PING}1,12\n2,\n`, 'traces/x, line 3'],
    ['no ping', PING, 'traces/x: expected at least one ping'],
    ['a probe with a missing cell', `${PROBE}1,50\n`, 'traces/x, line 2'],
    ['a probe that is kept and has no time', `${PROBE}1,,YEP\n`, 'traces/x, line 2'],
    ['no probe that is kept', `${PROBE}1,50,BAD\n`, 'traces/x: no row is kept'],
  ])('%s', (_name, text, message) => {
    expect(() => parseTraceFile(text, 'traces/x')).toThrow(tandemError('BAD_INPUT', message));
  });
});

describe('assembled', () => {
  const ROUND_TRIP = 'a round trip of 50 ms is assumed';
  const SLEEP = 'a radio that sleeps after 10 s and takes 400 ms to wake up is assumed';
  const file = (mbps: number): TraceFile => parseTraceFile(`0 ${mbps}\n1 ${mbps}\n`, 'file');
  const rates = (traces: ReturnType<typeof assembleTraces>) =>
    traces.map(({ name, up, down }) => [name, up.rateAt(0), down.rateAt(0)]);

  test('.up and .down of one collection are one network, and nothing of it is derived', () => {
    const traces = assembleTraces([
      { name: 'a.down', collection: 'c', file: file(8) },
      { name: 'a.up', collection: 'c', file: file(4) },
    ]);
    expect(rates(traces)).toEqual([['a', 500, 1000]]);
    expect(traces[0]?.remarks).toEqual([ROUND_TRIP, SLEEP]);
  });

  test('.up of another collection is not that of a .down', () => {
    const traces = assembleTraces([
      { name: 'a.down', collection: 'c', file: file(8) },
      { name: 'a.up', collection: 'd', file: file(4) },
    ]);
    expect(rates(traces)).toEqual([
      ['a', 400, 1000],
      ['a', 500, 1250],
    ]);
  });

  test('a downlink alone has its uplink derived, and says so', () => {
    const traces = assembleTraces([{ name: 'a', collection: 'c', file: file(8) }], {
      ...LINK_DEFAULTS,
      uplinkShare: 0.25,
    });
    expect(rates(traces)).toEqual([['a', 250, 1000]]);
    expect(traces[0]?.remarks).toEqual(['uplink is taken as 0.25 of the measured downlink', ROUND_TRIP, SLEEP]);
  });

  test('cellular links sleep, cables do not, and both are said', () => {
    const of = (collection: string) => assembleTraces([{ name: 'a', collection, file: file(8) }])[0];
    expect(wakeUpAfterMinute(of('norway-hsdpa-3g'))).toBe(400);
    expect(wakeUpAfterMinute(of('fcc-broadband'))).toBe(0);
    expect(of('norway-hsdpa-3g')?.remarks).toContain(SLEEP);
    expect(of('fcc-broadband')?.remarks).toContain('no radio that sleeps is assumed');
  });
});

describe('synthetic networks', () => {
  test('sleep as cellular ones do, and links of one rate do not', () => {
    expect(syntheticTraces(6, 1).map(wakeUpAfterMinute)).toEqual(Array.from({ length: 6 }, () => 400));
    expect(wakeUpAfterMinute(fixedRateTrace(5))).toBe(0);
  });

  test('are the same from the same seed and others from another, and cover all kinds', () => {
    const rates = (seed: number) => syntheticTraces(12, seed).map(({ name, up }) => [name, up.perPeriod]);
    expect(rates(3)).toEqual(rates(3));
    expect(rates(3)).not.toEqual(rates(4));
    expect(new Set(rates(3).map(([name]) => String(name).replace(/-\d+$/, '')))).toEqual(new Set(SYNTHETIC_KINDS));
  });

  test('of outages are dead at times', () => {
    const trace = syntheticTraces(6, 1).find(({ name }) => name.startsWith('outages'));
    const rates = Array.from({ length: 1200 }, (_, i) => trace?.up.rateAt(i * 500));
    expect(rates).toContain(0);
    expect(Math.max(...rates.map((rate) => rate ?? 0))).toBeGreaterThan(0);
  });
});

test('a radio that wakes up in one step costs nothing before and always the same after', () => {
  const wakeUp = stepWakeUp(10_000, 400);
  for (const draw of [0, 0.5, 0.999]) {
    expect([-5, 0, 100, 9998].map((idleMs) => wakeUpMs(wakeUp, idleMs, draw))).toEqual([0, 0, 0, 0]);
    expect([10_001, 60_000].map((idleMs) => wakeUpMs(wakeUp, idleMs, draw))).toEqual([400, 400]);
  }
});
