import { beforeEach, describe, expect, test } from 'vitest';
import { EnergyMeter } from '../../simulate/energy.ts';
import { Link } from '../../simulate/link.ts';
import { parseDevice } from '../../simulate/profiles.ts';
import { fixedRateTrace } from '../../simulate/traces/synthetic.ts';
import { stepWakeUp } from '../../simulate/traces/trace.ts';

const LUCK = { up: 1, down: 1, wake: 0.5 };

describe('a link', () => {
  let link: Link;
  beforeEach(() => {
    // 8 Mbit/s: a thousand bytes a millisecond up, 2500 down.
    const roundTrip = { samplesMs: [100, 20], everyMs: 50, spread: 0 };
    link = new Link({ ...fixedRateTrace(8), roundTrip, wakeUp: stepWakeUp(1000, 300) }, 0);
  });

  test('sends in order: what comes next waits for what is before it', () => {
    expect(link.send(0, 30_000, LUCK)).toEqual({ beginMs: 0, uploadedMs: 30, arriveMs: 80, bytesAhead: 0 });
    expect(link.bytesAhead(10)).toBeCloseTo(20_000, 6);
    expect(link.send(10, 5000, LUCK)).toMatchObject({
      beginMs: 30,
      uploadedMs: 35,
      bytesAhead: expect.closeTo(20_000, 6),
    });
    expect(link.bytesAhead(40)).toBe(0);
  });

  test('never lets bytes overtake others on their way', () => {
    const first = link.send(0, 40_000, LUCK);
    // It leaves when the round trip is shorter, and could be there 25 ms sooner.
    expect(link.send(52, 1000, LUCK).arriveMs).toBe(first.arriveMs);
  });

  test('wakes up after it idled, counted from whatever it carried last', () => {
    link.send(0, 1000, LUCK);
    expect(link.foresee(900, 1000, LUCK).beginMs).toBe(900);
    expect(link.foresee(1100, 1000, LUCK).beginMs).toBe(1400);
    link.noteActive(500);
    expect(link.foresee(1100, 1000, LUCK).beginMs).toBe(1100);
    expect(link.foresee(1600, 1000, LUCK).beginMs).toBe(1900);
  });

  test('changes nothing when it only foresees', () => {
    const first = link.foresee(0, 9000, LUCK);
    expect(link.foresee(0, 9000, LUCK)).toEqual(first);
    expect(link.send(0, 9000, LUCK)).toEqual(first);
  });

  test('brings replies half a round trip and their bytes later', () => {
    expect(link.receiveMs(0, 2500, LUCK)).toBeCloseTo(51, 6);
    expect(link.receiveMs(0, 2500, { ...LUCK, down: 2 })).toBeCloseTo(101, 6);
  });
});

test('energy is that of the core, of bytes, of the radio while it is on, and of each tail once', () => {
  const constants = {
    deviceWatts: 2,
    joulesPerByteUp: 1,
    joulesPerByteDown: 0.5,
    radioWatts: 3,
    tailMs: 1000,
    tailWatts: 10,
  };
  const meter = new EnergyMeter(parseDevice({ energy: constants }, 'test').energy);
  meter.device(500);
  expect(meter.deviceJ).toBeCloseTo(1, 9);
  meter.radio(0, 100, 7, 0);
  expect(meter.radioJ).toBeCloseTo(7 + 0.3 + 10, 9);
  // 400 ms later: the tail is longer by what has passed, not by a whole one.
  meter.radio(400, 500, 0, 4);
  expect(meter.radioJ).toBeCloseTo(7 + 0.3 + 10 + 2 + 0.3 + 4, 9);
});
