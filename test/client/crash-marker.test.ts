import { describe, expect, test } from 'vitest';
import { type CrashMarker, crashMarker, type MarkStorage } from '../../client/crash-marker.ts';

const DAY_MS = 24 * 3600 * 1000;

function storage(): MarkStorage {
  const items = new Map<string, string>();
  return {
    getItem: (name) => items.get(name) ?? null,
    setItem: (name, value) => void items.set(name, value),
    removeItem: (name) => void items.delete(name),
  };
}

function markerOn(tab: MarkStorage, origin: MarkStorage, nowMs: number): CrashMarker {
  return crashMarker(
    () => tab,
    () => origin,
    nowMs,
  );
}

describe('a step that killed the page', () => {
  test('is known to the next page of the tab, and then to every tab, for two weeks', () => {
    const [tab, origin] = [storage(), storage()];
    markerOn(tab, origin, 0).begin('webgpu');
    expect(markerOn(storage(), origin, DAY_MS).hasKilled('webgpu')).toBe(false);
    expect(markerOn(tab, origin, DAY_MS).hasKilled('webgpu')).toBe(true);
    expect(markerOn(storage(), origin, 2 * DAY_MS).hasKilled('webgpu')).toBe(true);
    expect(markerOn(storage(), origin, 2 * DAY_MS).hasKilled('segment 1')).toBe(false);
    expect(markerOn(storage(), origin, 16 * DAY_MS).hasKilled('webgpu')).toBe(false);
  });

  test('is none where the step ended, or the page was left in good order', () => {
    const [tab, origin] = [storage(), storage()];
    const marker = markerOn(tab, origin, 0);
    marker.begin('webgpu');
    marker.end('webgpu');
    expect(markerOn(tab, origin, 1).hasKilled('webgpu')).toBe(false);
    marker.begin('webgpu');
    marker.endAll();
    expect(markerOn(tab, origin, 1).hasKilled('webgpu')).toBe(false);
  });

  test('may be any of those that several clients of the page were at, and none that had ended', () => {
    const [tab, origin] = [storage(), storage()];
    const marker = markerOn(tab, origin, 0);
    for (const step of ['detector', 'reader', 'reader']) marker.begin(step);
    marker.end('reader');
    marker.begin('speller');
    marker.end('speller');
    const next = markerOn(tab, origin, 1);
    expect(['detector', 'reader', 'speller'].map((step) => next.hasKilled(step))).toEqual([true, true, false]);
  });

  test('is forgotten where nothing can be stored, and what is stored may be anything', () => {
    const broken: MarkStorage = {
      getItem: () => {
        throw new Error('denied');
      },
      setItem: () => {
        throw new Error('full');
      },
      removeItem: () => {
        throw new Error('denied');
      },
    };
    const denied = () => {
      throw new Error('denied');
    };
    // Some browsers have a null in its place.
    const missing = () => null as unknown as MarkStorage;
    for (const one of [() => broken, denied, missing]) {
      const marker = crashMarker(one, one, 0);
      marker.begin('webgpu');
      marker.end('webgpu');
      expect(marker.hasKilled('webgpu')).toBe(false);
    }
    const odd = storage();
    odd.setItem('tandem.fatal', '[["webgpu",1],[2,3],"x"]');
    expect(markerOn(storage(), odd, 2).hasKilled('webgpu')).toBe(true);
    odd.setItem('tandem.fatal', '{');
    expect(markerOn(storage(), odd, 2).hasKilled('webgpu')).toBe(false);
  });
});
