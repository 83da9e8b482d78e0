/** .npy arrays and .npz archives as NumPy writes them. */
import { zipSync } from 'fflate';

export function npy(descr: string, shape: string, data: Uint8Array, { version = 1, order = 'False' } = {}): Uint8Array {
  const header = `{'descr': '${descr}', 'fortran_order': ${order}, 'shape': ${shape}, }`;
  const prefix = version === 1 ? 10 : 12;
  const padded = `${header.padEnd(Math.ceil((prefix + header.length + 1) / 64) * 64 - prefix - 1)}\n`;
  const bytes = new Uint8Array(prefix + padded.length + data.length);
  bytes.set([0x93, ...new TextEncoder().encode('NUMPY'), version, 0]);
  const view = new DataView(bytes.buffer);
  if (version === 1) view.setUint16(8, padded.length, true);
  else view.setUint32(8, padded.length, true);
  bytes.set(new TextEncoder().encode(padded), prefix);
  bytes.set(data, prefix + padded.length);
  return bytes;
}

/** float32 arrays by name. */
export function npz(arrays: Readonly<Record<string, { shape: readonly number[]; data: Float32Array }>>): Uint8Array {
  const files = Object.entries(arrays).map(([name, { shape, data }]) => [
    `${name}.npy`,
    npy('<f4', `(${shape.join(', ')},)`, new Uint8Array(data.buffer, data.byteOffset, data.byteLength)),
  ]);
  return zipSync(Object.fromEntries(files));
}
