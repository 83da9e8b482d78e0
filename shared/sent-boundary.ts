/** What left a device for a request: in its route, and in the error of one that came to nothing. */
import type { Noise } from './codec/noise.ts';
import type { SignedReceipt } from './receipt.ts';

export interface SentBoundary {
  /** That it was sent under. */
  readonly label: string;
  readonly k: number;
  readonly tier: string;
  /** What was added to its values before they were encoded. */
  readonly noise: readonly Noise[];
  /** Of the whole frame. */
  readonly bytes: number;
  /** `late`: the device was faster in the end. `pending`: the request ended before it was known what became of it. */
  readonly outcome: 'answered' | 'late' | 'failed' | 'pending';
  /** What the gateway signed of it by the time the request ended; null where nothing had come. The event `receipt` tells of later ones. */
  readonly receipt: SignedReceipt | null;
}
