/** Small statistics: a straight line through points, medians and percentiles. */
import type { Linear } from '../../shared/plan.ts';

/** Least squares of value = fixed + perSize * size. Points of one size only give a constant. */
export function fitLinear(points: readonly { readonly size: number; readonly value: number }[]): Linear {
  const n = points.length;
  const mean = (of: (point: { size: number; value: number }) => number) =>
    points.reduce((sum, point) => sum + of(point), 0) / n;
  const size = mean((point) => point.size);
  const value = mean((point) => point.value);
  const variance = mean((point) => (point.size - size) ** 2);
  const covariance = mean((point) => (point.size - size) * (point.value - value));
  const perSize = variance === 0 ? 0 : covariance / variance;
  return { fixed: round(value - perSize * size), perSize: round(perSize) };
}

export function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0;
}

export function median(values: readonly number[]): number {
  return percentile(values, 0.5);
}

export function meanOf(values: readonly number[]): number {
  return values.reduce((a, b) => a + b, 0) / Math.max(1, values.length);
}

/** Six digits that mean something: measurements are kept in files that people read. What is boundless is as large as JSON can say. */
export function round(value: number): number {
  return Math.max(-Number.MAX_VALUE, Math.min(Number.MAX_VALUE, Number(value.toPrecision(6))));
}
