/** The ways a device segment may be stored, and the rule that none ships slower than float on its target. */
import type { Linear, PlanSize } from '../../shared/plan.ts';
import { costAt } from '../../shared/size.ts';

export const DEVICE_RECIPES = ['int8-storage', 'float32'] as const;
export type DeviceRecipe = (typeof DEVICE_RECIPES)[number];

/**
 * How much slower than float the compressed segment may measure before it is dropped. The two run the same folded
 * graph, so a difference is noise of the machine; a recipe that really loses does so by far more (int8 depthwise
 * convolutions in wasm: 3 to 5 times).
 */
const SLOWDOWN_MAX = 1.15;

/** Chooses by what was timed on the target. */
export function chooseDeviceRecipe(int8: Linear, float: Linear, size: PlanSize): DeviceRecipe {
  return costAt(int8, size.typical) <= costAt(float, size.typical) * SLOWDOWN_MAX ? 'int8-storage' : 'float32';
}
