/** What storing the device's segments saves, step by step: quantizing, entropy coding, and brotli over the wire. */
import type { Plan } from '../../shared/plan.ts';
import { brotliBytes, packModel } from '../compress/pack-weights.ts';
import type { CompressedChain } from '../compress-chain.ts';
import type { ChainSegment } from '../cut/segments.ts';

/** Bytes of one segment for one target. */
export interface ReportSize {
  readonly target: string;
  readonly segment: number;
  /** The ONNX file in full precision. */
  readonly float: number;
  /** The ONNX file as the recipe stores its weights, a byte each. */
  readonly quantized: number;
  /** The bundle's file: the same, or packed where that pays. */
  readonly stored: number;
  /** What a gateway sends of it with brotli. */
  readonly sent: number;
  /** What it would send had the file not been packed. */
  readonly sentUnpacked: number;
}

export function reportSizes(plan: Plan, compressed: CompressedChain, segments: readonly ChainSegment[]): ReportSize[] {
  return [...compressed].flatMap(([target, { models }]) =>
    segments.map(({ float }, i) => {
      const quantized = models[i] ?? float;
      const sentUnpacked = brotliBytes(quantized);
      const isPacked = plan.segments[i]?.targets[target]?.encoding === 'packed';
      const stored = isPacked ? packModel(quantized).bytes : quantized;
      return {
        ...{ target, segment: i + 1, float: float.length, quantized: quantized.length, stored: stored.length },
        ...{ sent: stored === quantized ? sentUnpacked : brotliBytes(stored), sentUnpacked },
      };
    }),
  );
}
