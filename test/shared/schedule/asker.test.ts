import { describe, expect, test } from 'vitest';
import { permissionFrom } from '../../../shared/policy/permission.ts';
import { askerOf } from '../../../shared/schedule/asker.ts';
import { Estimates } from '../../../shared/schedule/estimates.ts';
import { newLink } from '../../../shared/schedule/link.ts';
import { samplePlan } from '../sample-plan.ts';
import { QUIET_LINK, sampleSnapshot } from './sample-snapshot.ts';

const plan = samplePlan();
/** Boundary 0 may not be sent. */
const question = { permission: permissionFrom(plan, 1, 'the floor'), accuracyDropMax: 1, force: null };
/** The device is better by what is known, and the link may be better than it is known to be. */
const unsure = { link: newLink({ ...QUIET_LINK, roundTripMs: 70 }), idleMs: 60_000 };

function saved(): Estimates {
  const estimates = new Estimates();
  const { candidates, ...rest } = askerOf(estimates, 0).ask(sampleSnapshot(unsure), question);
  for (let i = 0; i < 50; i++) estimates.decided({ ...rest, candidates, removed: [] } as never, 0.5);
  return estimates;
}

describe('a request that asks', () => {
  test('keeps to what it set out to find out until it is reached, and books it once', () => {
    const estimates = saved();
    const asker = askerOf(estimates, 0);
    const first = asker.ask(sampleSnapshot(unsure), question);
    expect(first).toMatchObject({ by: 'explored' });
    const target = first.chosen?.k ?? 0;
    expect(target).toBeGreaterThan(0);
    asker.take(first, question);
    const left = estimates.current.explorationMs;
    for (let at = 1; at <= target; at++) {
      const decision = asker.ask(sampleSnapshot({ ...unsure, at }), question);
      expect(decision).toMatchObject({ by: 'explored', chosen: { k: target, tier: first.chosen?.tier } });
      asker.take(decision, question);
    }
    expect(estimates.current.explorationMs).toBe(left);
    expect(estimates.current.previous).toMatchObject({ k: 3 });
  });

  test('lets go of it where it cannot be done any more', () => {
    const asker = askerOf(saved(), 0);
    const first = asker.ask(sampleSnapshot(unsure), question);
    asker.take(first, question);
    expect(first.by).toBe('explored');
    expect(asker.ask(sampleSnapshot({ ...unsure, at: 1, isConnected: false }), question)).toMatchObject({
      by: 'best',
      chosen: { k: 3 },
    });
    const late = asker.ask(sampleSnapshot({ ...unsure, at: 1 }), { ...question, deadlineMs: 105 });
    expect(late.by).not.toBe('explored');
  });

  test('teaches others nothing where it was told what to do', () => {
    const estimates = saved();
    const asker = askerOf(estimates, 0);
    const { current } = estimates;
    const told = { ...question, force: { k: 1 } };
    asker.take(asker.ask(sampleSnapshot(unsure), told), told);
    expect(estimates.current).toBe(current);
  });

  test('is held back where it stands beyond the share, which comes back by answers and by itself', () => {
    const estimates = new Estimates();
    const asker = askerOf(estimates, 0.5);
    expect(asker.isHeldBack(0)).toBe(false);
    estimates.shed(0);
    estimates.shed(0);
    expect(asker.isHeldBack(0)).toBe(true);
    expect(asker.isHeldBack(40_000)).toBe(true);
    expect(asker.isHeldBack(50_000)).toBe(false);
    for (let i = 0; i < 7; i++) estimates.answered(0);
    expect(asker.isHeldBack(0)).toBe(false);
  });
});
