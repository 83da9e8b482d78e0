/** What storing the device's segments saves, step by step: quantizing, entropy coding, and brotli over the wire. */
import type { Plan } from '../../shared/plan.ts';
import { deviceBytes } from '../compress/choose-device-recipes.ts';
import type { DeviceRecipe } from '../compress/device-recipe.ts';
import { brotliBytes, packModel } from '../compress/pack-weights.ts';
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

export function reportSizes(plan: Plan, segments: readonly ChainSegment[]): ReportSize[] {
  const targets = Object.keys(plan.segments[0]?.targets ?? {});
  return targets.flatMap((target) =>
    segments.map((segment, i) => {
      const file = plan.segments[i]?.targets[target];
      const quantized = deviceBytes(segment, file?.recipe as DeviceRecipe | undefined);
      const sentUnpacked = brotliBytes(quantized);
      const stored = file?.encoding === 'packed' ? packModel(quantized).bytes : quantized;
      return {
        ...{ target, segment: i + 1, float: segment.float.length, quantized: quantized.length, stored: stored.length },
        ...{ sent: stored === quantized ? sentUnpacked : brotliBytes(stored), sentUnpacked },
      };
    }),
  );
}
