/** Uniform quantization of a boundary's floats to a few bits, with one step for the tensor. */

/** Levels are low, low + step, ... low + step * (2 ** bits - 1). */
export interface QuantizerRange {
  readonly low: number;
  readonly step: number;
}

/**
 * Nearest level of each value; what lies outside the range takes the level at its end, NaN the lowest. So for values
 * inside the range |x - dequantized| <= step / 2, up to float32 rounding.
 */
export function quantize(values: Float32Array, { low, step }: QuantizerRange, bits: number): Uint8Array {
  const top = 2 ** bits - 1;
  const factor = 1 / step;
  const symbols = new Uint8Array(values.length);
  for (let i = 0; i < values.length; i++) {
    const level = ((values[i] as number) - low) * factor + 0.5;
    symbols[i] = level >= top ? top : level > 0 ? level : 0;
  }
  return symbols;
}

export function dequantize(symbols: Uint8Array, { low, step }: QuantizerRange): Float32Array {
  const values = new Float32Array(symbols.length);
  for (let i = 0; i < symbols.length; i++) values[i] = low + (symbols[i] as number) * step;
  return values;
}

/** The symbol that stands for 0 where levels lie around it. */
export function centreOf(bits: number): number {
  return 2 ** (bits - 1);
}

/**
 * Levels around 0 with a dead zone: a magnitude goes up to its next level only from `1 - rounding` steps on, so at a half
 * to the nearest, at less more often towards 0, which costs fewer bits than the error is worth (Sullivan, "Efficient scalar
 * quantization of exponential and Laplacian random variables", 1996). NaN becomes 0.
 */
export function quantizeCentred(
  values: Float32Array | Float64Array,
  step: number,
  bits: number,
  rounding: number,
): Uint8Array {
  const centre = centreOf(bits);
  const top = centre - 1;
  const factor = 1 / step;
  const symbols = new Uint8Array(values.length);
  for (let i = 0; i < values.length; i++) {
    const level = (values[i] as number) * factor;
    if (level >= 0) symbols[i] = centre + (level + rounding >= top ? top : level + rounding);
    else symbols[i] = level - rounding <= -centre ? 0 : centre - ((rounding - level) | 0);
  }
  return symbols;
}
