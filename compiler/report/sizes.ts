/** What storing the device's segments saves, step by step: quantizing, entropy coding, and brotli over the wire. */
import type { Plan } from '../../shared/plan.ts';
import { brotliBytes } from '../compress/pack-weights.ts';
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

/** @param fileOf bytes of a file of the plan */
export function reportSizes(
  plan: Plan,
  compressed: CompressedChain,
  segments: readonly ChainSegment[],
  fileOf: (name: string) => Uint8Array,
): ReportSize[] {
  return [...compressed].flatMap(([target, { models }]) =>
    segments.map(({ float }, i) => {
      const quantized = models[i] ?? float;
      const sentUnpacked = brotliBytes(quantized);
      const file = plan.segments[i]?.targets[target];
      const stored = file?.encoding === 'packed' ? fileOf(file.file) : quantized;
      return {
        ...{ target, segment: i + 1, float: float.length, quantized: quantized.length, stored: stored.length },
        ...{ sent: stored === quantized ? sentUnpacked : brotliBytes(stored), sentUnpacked },
      };
    }),
  );
}
