/** Means and covariances of a tensor's channels over samples. */

/** Of each sample, spread evenly: neighbours say much the same. */
const COLUMNS_PER_SAMPLE = 64;

export class ChannelStatistics {
  readonly channels: number;
  private columns = 0;
  private readonly sums: Float64Array;
  /** [channels][channels], the part at and below the diagonal. */
  private readonly products: Float64Array;
  /** What values are counted from, so that large means cost no precision: the first sample's means. */
  private origin: Float64Array | null = null;

  constructor(channels: number) {
    this.channels = channels;
    this.sums = new Float64Array(channels);
    this.products = new Float64Array(channels * channels);
  }

  /** @param values [channels][columns] */
  add(values: Float32Array): void {
    const { channels, sums, products } = this;
    const picked = someColumns(values, channels);
    this.origin ??= meansOf(picked, channels);
    const count = picked.length / channels;
    const column = new Float64Array(channels);
    for (let j = 0; j < count; j++) {
      for (let c = 0; c < channels; c++) {
        column[c] = (picked[c * count + j] as number) - (this.origin[c] as number);
        sums[c] = (sums[c] as number) + (column[c] as number);
      }
      addProducts(products, column);
    }
    this.columns += count;
  }

  means(): Float64Array {
    return this.sums.map((sum, c) => sum / Math.max(1, this.columns) + (this.origin?.[c] ?? 0));
  }

  /** [channels][channels]. */
  covariance(): Float64Array {
    const { channels, sums, products } = this;
    const count = Math.max(1, this.columns);
    const covariance = new Float64Array(channels * channels);
    for (let a = 0; a < channels; a++) {
      for (let b = 0; b <= a; b++) {
        const product = (products[a * channels + b] as number) / count;
        const value = product - ((sums[a] as number) / count) * ((sums[b] as number) / count);
        covariance[a * channels + b] = value;
        covariance[b * channels + a] = value;
      }
    }
    return covariance;
  }
}

/** @returns [channels][at most COLUMNS_PER_SAMPLE] */
export function someColumns(values: Float32Array, channels: number): Float32Array {
  const columns = values.length / channels;
  const stride = Math.max(1, columns / COLUMNS_PER_SAMPLE);
  const count = Math.floor(columns / stride);
  const picked = new Float32Array(channels * count);
  for (let c = 0; c < channels; c++) {
    for (let j = 0; j < count; j++) picked[c * count + j] = values[c * columns + Math.floor(j * stride)] as number;
  }
  return picked;
}

function meansOf(values: Float32Array, channels: number): Float64Array {
  const count = values.length / channels;
  return Float64Array.from({ length: channels }, (_, c) => {
    return values.subarray(c * count, (c + 1) * count).reduce((sum, value) => sum + value, 0) / Math.max(1, count);
  });
}

function addProducts(products: Float64Array, column: Float64Array): void {
  const { length } = column;
  for (let a = 0; a < length; a++) {
    const value = column[a] as number;
    for (let b = 0; b <= a; b++)
      products[a * length + b] = (products[a * length + b] as number) + value * (column[b] as number);
  }
}
