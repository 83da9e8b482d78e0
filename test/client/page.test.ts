/** What a page tells of where it runs, on the events of a platform. */
import { describe, expect, test } from 'vitest';
import { listenForNetwork, listenForWake, lowBattery } from '../../client/page.ts';

class FakePage extends EventTarget {
  visibilityState: DocumentVisibilityState = 'visible';

  become(state: DocumentVisibilityState): void {
    this.visibilityState = state;
    this.dispatchEvent(new Event('visibilitychange'));
  }
}

class FakeConnection extends EventTarget {
  type = 'wifi';
  effectiveType = '4g';

  change(to: { readonly type?: string; readonly effectiveType?: string }): void {
    Object.assign(this, to);
    this.dispatchEvent(new Event('change'));
  }
}

describe('a page that comes back', () => {
  function watched(page = new FakePage()) {
    const window = new EventTarget();
    const away: number[] = [];
    const time = { nowMs: 1_000 };
    const stop = listenForWake(
      page,
      window,
      () => time.nowMs,
      (awayMs) => away.push(awayMs),
    );
    return { page, window, away, stop, time };
  }

  test('says how long it was out of sight, once', () => {
    const { page, window, away, time } = watched();
    page.become('hidden');
    expect(away).toEqual([]);
    time.nowMs += 700;
    page.become('visible');
    window.dispatchEvent(Object.assign(new Event('pageshow'), { persisted: true }));
    expect(away).toEqual([700, 0]);
  });

  test('was away from its freezing on, or from before', () => {
    const { page, away, time } = watched();
    page.dispatchEvent(new Event('freeze'));
    time.nowMs += 500;
    page.dispatchEvent(new Event('resume'));
    page.become('hidden');
    time.nowMs += 20;
    page.dispatchEvent(new Event('freeze'));
    time.nowMs += 30;
    page.become('visible');
    expect(away).toEqual([500, 50]);
  });

  test('was away from the start where it was opened in the background', () => {
    const page = new FakePage();
    page.visibilityState = 'hidden';
    const { away, time } = watched(page);
    time.nowMs += 900;
    page.become('visible');
    expect(away).toEqual([900]);
  });

  test('was not away where it is shown for the first time, or the network is gone or back', () => {
    const { window, away, time } = watched();
    time.nowMs += 900;
    window.dispatchEvent(new Event('pageshow'));
    expect(away).toEqual([]);
    window.dispatchEvent(new Event('offline'));
    window.dispatchEvent(new Event('online'));
    expect(away).toEqual([0, 0]);
  });

  test('was away for no less than nothing, whatever is done to the calendar', () => {
    const { page, away, time } = watched();
    page.become('hidden');
    time.nowMs -= 900;
    page.become('visible');
    expect(away).toEqual([0]);
  });

  test('says nothing any more once that is stopped', () => {
    const { page, window, away, stop } = watched();
    stop();
    page.become('hidden');
    page.become('visible');
    for (const type of ['pageshow', 'offline', 'online']) window.dispatchEvent(new Event(type));
    page.dispatchEvent(new Event('resume'));
    expect(away).toEqual([]);
  });
});

describe('a network', () => {
  function watched(connection?: FakeConnection) {
    const window = new EventTarget();
    let changes = 0;
    const stop = listenForNetwork(window, connection ? { connection } : {}, () => changes++);
    return { window, stop, changes: () => changes };
  }

  test('is another one when its kind is, and not when its speed is guessed anew', () => {
    const connection = new FakeConnection();
    const { changes } = watched(connection);
    connection.change({});
    expect(changes()).toBe(0);
    connection.change({ type: 'cellular' });
    connection.change({});
    expect(changes()).toBe(1);
    connection.change({ effectiveType: '3g' });
    expect(changes()).toBe(2);
  });

  test('may be another one after there was none, also where the browser says nothing of its kind', () => {
    const { window, stop, changes } = watched();
    window.dispatchEvent(new Event('online'));
    expect(changes()).toBe(1);
    stop();
    window.dispatchEvent(new Event('online'));
    expect(changes()).toBe(1);
  });

  test('is not listened to any more once that is stopped', () => {
    const connection = new FakeConnection();
    const { stop, changes } = watched(connection);
    stop();
    connection.change({ type: 'cellular' });
    expect(changes()).toBe(0);
  });
});

describe('a battery', () => {
  test('is low below a fifth, while it is not being charged, and is asked anew each time', async () => {
    const battery = { charging: false, level: 0.21 };
    const isLow = lowBattery({ getBattery: async () => battery });
    expect(isLow()).toBe(false);
    battery.level = 0.19;
    // Nobody has said yet that there is one.
    expect(isLow()).toBe(false);
    await Promise.resolve();
    expect(isLow()).toBe(true);
    battery.charging = true;
    expect(isLow()).toBe(false);
    Object.assign(battery, { charging: false, level: 0.2 });
    expect(isLow()).toBe(false);
  });

  test('is not low where there is none to be asked, or the page may not', async () => {
    const refused = lowBattery({ getBattery: () => Promise.reject(new Error('not allowed')) });
    await Promise.resolve();
    expect([lowBattery({})(), refused()]).toEqual([false, false]);
  });
});
