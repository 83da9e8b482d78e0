import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { permissionFrom } from '../../../shared/policy/permission.ts';
import { decide } from '../../../shared/schedule/decide.ts';
import { Estimates } from '../../../shared/schedule/estimates.ts';
import { readKept, writeKept } from '../../../shared/schedule/kept.ts';
import { samplePlan } from '../sample-plan.ts';
import { sampleSnapshot } from './sample-snapshot.ts';

const plan = samplePlan();
const NOON_MS = 1_800_000_000_000.4;

function learnt(): Estimates {
  const estimates = new Estimates();
  for (let i = 1; i <= 8; i++) {
    estimates.observeDevice(plan, 'wasm', 16, 0, 3, 300, i * 1_000);
    estimates.observeServer(plan, 16, 1, 'q8', 44, i * 1_000);
    estimates.observeTransfer({ bytesUp: i * 1_000, bytesDown: 100 }, 150, i * 1_000, i * 1_000 + 150);
  }
  estimates.observeEncode(1, 'q8', 4);
  estimates.shed(0);
  return estimates;
}

const { current } = learnt();
const written = () => JSON.parse(writeKept(current, 10_000, NOON_MS));
const read = (value: unknown, wallMs = NOON_MS) => readKept(JSON.stringify(value), wallMs);

type Written = ReturnType<typeof written>;
const having =
  (part: string, changes: object) =>
  (kept: Written): Written => ({ ...kept, [part]: { ...kept[part], ...changes } });
const havingAt = (part: string, field: string, index: number, value: unknown) => (kept: Written) =>
  having(part, { [field]: kept[part][field].toSpliced(index, 1, value) })(kept);

describe('what is kept', () => {
  test('says what was learnt, and how long ago', () => {
    const kept = readKept(writeKept(current, 10_000, NOON_MS), NOON_MS + 5_000);
    const { device, server, link, encodeMs, share, explorationMs } = current;
    expect(kept?.ageMs).toBe(5_000);
    // It was shed ten seconds before.
    expect(kept?.state).toMatchObject({ encodeMs, share: share + 10 / 180, explorationMs });
    for (const [was, is] of [
      [device, kept?.state.device],
      [server, kept?.state.server],
      [link, kept?.state.link],
    ] as const) {
      expect(is?.model).toEqual(was.model);
      expect(is?.state).toEqual({ ...was.state, surprise: 0, atMs: was.state.atMs - 10_000 });
    }
  });

  test('is written as it was read', () => {
    const once = read(written());
    expect(once).not.toBeNull();
    if (once) expect(JSON.parse(writeKept({ ...once.state, shareAtMs: 0 }, 0, NOON_MS))).toEqual(written());
  });

  test.each<[string, (kept: Written) => unknown]>([
    ['of another version', (kept) => ({ ...kept, version: 2 })],
    ['from the future', (kept) => ({ ...kept, keptAtMs: NOON_MS + 2 })],
    ['with more in it', (kept) => ({ ...kept, more: 1 })],
    ['without a link', ({ link: _link, ...kept }) => kept],
    ['of a link of fewer parts', (kept) => ({ ...kept, link: kept.server })],
    ['of a server of more parts', (kept) => ({ ...kept, server: kept.device })],
    ['of a covariance that is short', having('device', { covariance: [1] })],
    ['of no segment', (kept) => ({ ...kept, device: { ...kept.device, mean: [], covariance: [] } })],
    ['that knows less than nothing', havingAt('link', 'covariance', 0, 99)],
    ['that is surer than sure', havingAt('link', 'covariance', 0, -0.1)],
    ['with parts that are more alike than can be', havingAt('link', 'covariance', 1, 1.2)],
    ['of a covariance that none can be', (kept) => havingAt('device', 'covariance', 0, 1e-6)(kept)],
    ['of two parts that are not as alike as each other', havingAt('link', 'covariance', 1, 0.01)],
    ['of a round trip of a year', havingAt('link', 'mean', 0, 24)],
    ['with what JSON has for no number', havingAt('link', 'mean', 0, null)],
    ['without any scatter', having('link', { noise: 0 })],
    ['that was learnt after it was kept', having('link', { agoMs: -1 })],
    ['of more than all requests', (kept) => ({ ...kept, share: 1.1 })],
    ['with an hour to explore', (kept) => ({ ...kept, explorationMs: 3.6e6 })],
    ['with a time below 0', (kept) => ({ ...kept, encodeMs: { '1/q8': -1 } })],
    [
      'with tiers without end',
      (kept) => ({ ...kept, encodeMs: Object.fromEntries(Array.from({ length: 2_000 }, (_, i) => [`${i}/q8`, 1])) }),
    ],
  ])('is ignored where it is %s', (_, change) => {
    expect(read(written())).not.toBeNull();
    expect(read(change(written()))).toBeNull();
  });

  test.each(['', 'null', '[]', '{', '{"version":1}', `{"version":1,"more":"${'x'.repeat(300_000)}"}`])(
    'is ignored where it is %.20s',
    (json) => {
      expect(readKept(json, NOON_MS)).toBeNull();
    },
  );

  test('is read where it holds all that a plan of the most segments takes', () => {
    const { device } = current;
    const n = 64;
    const mean = new Array<number>(n).fill(0.123456789012345);
    const covariance = new Array<number>(n * n).fill(0.123456789012345);
    const state = { ...current, device: { ...device, state: { ...device.state, mean, usual: mean, covariance } } };
    expect(readKept(writeKept(state, 10_000, NOON_MS), NOON_MS)?.state.device.state.mean).toEqual(mean);
  });

  test('leads to finite decisions and observations, whatever it says, where it is read at all', () => {
    const at = fc.double({ min: -3, max: 3, noNaN: true });
    const filter = (n: number) =>
      fc.record({
        mean: fc.array(at, { minLength: n, maxLength: n }),
        usual: fc.array(at, { minLength: n, maxLength: n }),
        factor: fc.array(fc.double({ min: -0.3, max: 0.3, noNaN: true }), { minLength: n * n, maxLength: n * n }),
        noise: fc.double({ min: 1e-4, max: 1, noNaN: true }),
        agoMs: fc.nat(1e9),
      });
    const middle = (n: number, i: number) => (n === 5 ? Math.log(current.link.model.prior[i] as number) : 0);
    /** A covariance is any matrix times its transpose. */
    const honest = (n: number) =>
      filter(n).map(({ factor, ...each }) => ({
        ...each,
        mean: each.mean.map((value, i) => middle(n, i) + value),
        usual: each.usual.map((value, i) => middle(n, i) + value),
        covariance: factor.map((_, at) => {
          const row = (i: number) => factor.slice(i * n, (i + 1) * n);
          const other = row(at % n);
          return row(Math.floor(at / n)).reduce((sum, value, k) => sum + value * (other[k] as number), 0);
        }),
      }));
    fc.assert(
      fc.property(honest(3), honest(1), honest(5), fc.nat(1e9), (device, server, link, ageMs) => {
        const kept = read({ ...written(), device, server, link }, NOON_MS + ageMs);
        if (!kept) throw new Error('it was not read');
        const estimates = new Estimates();
        estimates.restore(kept.state, kept.ageMs, 0);
        for (let i = 1; i < 4; i++) {
          const { candidates } = decide(sampleSnapshot({ ...estimates.partsFor(plan, i * 100) }), {
            ...{ permission: permissionFrom(plan, 0, 'all'), accuracyDropMax: 1, force: null },
          });
          for (const { predicted } of candidates) {
            for (const value of Object.values(predicted)) expect(Number.isFinite(value)).toBe(true);
            expect(predicted.highMs).toBeGreaterThanOrEqual(predicted.lowMs);
          }
          estimates.observeTransfer({ bytesUp: 5_000 * i, bytesDown: 10 }, 40, i * 100, i * 100 + 40);
          estimates.observeDevice(plan, 'wasm', 16, 0, 2, 40, i * 100 + 40);
        }
      }),
    );
  });
});
