/** Noise that several terms ask for: all of it is added, one kind after the other, and of one kind the most. */
import type { Noise } from '../codec/noise.ts';

/** The least noise that holds all of these. In a fixed order, and the same however often it is joined. */
export function joinNoises(noises: readonly Noise[]): readonly Noise[] {
  const byType = new Map<string, Noise>();
  for (const noise of noises) {
    byType.set(noise.type, joined(noise, byType.get(noise.type) ?? noise));
  }
  return [...byType.values()].sort((a, b) => (a.type < b.type ? -1 : 1));
}

function joined({ type, scale, clip }: Noise, other: Noise): Noise {
  const clips = [clip, other.clip].filter((each) => each !== undefined);
  const least = clips.length > 0 && { clip: Math.min(...clips) };
  return { type, scale: Math.max(scale, other.scale), ...least };
}

/** Whether what is said to have been added holds all that is asked for. */
export function promises(promised: readonly Noise[], asked: readonly Noise[]): boolean {
  return asked.every(({ type, scale, clip }) =>
    promised.some(
      (noise) =>
        noise.type === type && noise.scale >= scale && (clip === undefined || (noise.clip ?? Infinity) <= clip),
    ),
  );
}
