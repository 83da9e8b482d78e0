/**
 * Samples that users have: .npz files, one array an input, with or without an axis before all others that counts
 * samples; or a folder in the layout of ONNX's tests, test_data_set_N/input_M.pb.
 */
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { asTandemError, TandemError } from '../../shared/errors.ts';
import { ownValue } from '../../shared/own-value.ts';
import { isDType, type Tensor, type Tensors } from '../../shared/tensor.ts';
import { constantTensor, type ValueInfo } from '../graph/graph.ts';
import { readTensorFile } from '../onnx/read.ts';
import { readNpz } from './npy.ts';

/**
 * @param inputs that samples are wanted for
 * @param order names of all inputs that the model's file has, which files of a folder are numbered by
 * @throws NOT_FOUND; BAD_INPUT where the files are not what the model takes
 */
export async function readSamples(
  path: string,
  inputs: readonly ValueInfo[],
  order: readonly string[] = inputs.map(({ name }) => name),
): Promise<Tensors[]> {
  const info = await stat(path).catch((error: unknown) => {
    throw asTandemError(error, 'NOT_FOUND', `cannot read ${path}`);
  });
  const samples = info.isDirectory()
    ? await readFolder(path, inputs, order)
    : splitSamples(readNpz(await readFile(path), path), inputs, path);
  if (samples.length === 0) throw new TandemError('BAD_INPUT', `${path} holds no samples`);
  for (const [i, sample] of samples.entries()) checkSample(sample, inputs, `sample ${i} of ${path}`);
  return samples;
}

function checkSample(sample: Tensors, inputs: readonly ValueInfo[], what: string): void {
  for (const { name, elementType, shape } of inputs) {
    const tensor = ownValue(sample, name);
    const fits = tensor && tensor.dtype === elementType && (shape === null || fitsShape(tensor.shape, shape));
    if (fits) continue;
    const got = tensor ? `${tensor.dtype} [${tensor.shape}]` : `only ${Object.keys(sample).join(', ')}`;
    throw new TandemError('BAD_INPUT', `${what}: expected ${name}, ${elementType} [${shape}], got ${got}`);
  }
}

function fitsShape(actual: readonly number[], expected: NonNullable<ValueInfo['shape']>): boolean {
  return actual.length === expected.length && expected.every((dim, i) => typeof dim !== 'number' || dim === actual[i]);
}

/** Arrays of one rank more than the inputs hold one sample a slice. */
function splitSamples(arrays: Tensors, inputs: readonly ValueInfo[], path: string): Tensors[] {
  const counts = inputs.map(({ name, shape }) => {
    const array = ownValue(arrays, name);
    if (!array)
      throw new TandemError('BAD_INPUT', `${path} has no array ${name}, only ${Object.keys(arrays).join(', ')}`);
    return shape !== null && array.shape.length === shape.length + 1 ? (array.shape[0] as number) : null;
  });
  const count = counts.find((one) => one !== null) ?? 1;
  if (counts.some((one) => one !== null && one !== count)) {
    const told = inputs.map(({ name }, i) => `${name}: ${counts[i] ?? 'one for all'}`).join(', ');
    throw new TandemError('BAD_INPUT', `${path}: expected as many samples of each input, got ${told}`);
  }
  return Array.from({ length: count }, (_, i) =>
    Object.fromEntries(
      inputs.map(({ name }, j) => [
        name,
        counts[j] === null ? (arrays[name] as Tensor) : slice(arrays[name] as Tensor, i),
      ]),
    ),
  );
}

function slice({ dtype, shape, data }: Tensor, index: number): Tensor {
  const [, ...inner] = shape;
  const length = inner.reduce((product, dim) => product * dim, 1);
  return { dtype, shape: inner, data: data.subarray(index * length, (index + 1) * length) };
}

async function readFolder(path: string, inputs: readonly ValueInfo[], order: readonly string[]): Promise<Tensors[]> {
  const sets = (await readdir(path)).filter((name) => /^test_data_set_\d+$/.test(name)).sort();
  // The folder of one set will do as well.
  const folders = sets.length > 0 ? sets.map((name) => join(path, name)) : [path];
  return Promise.all(folders.map((folder) => readSet(folder, inputs, order)));
}

async function readSet(folder: string, inputs: readonly ValueInfo[], order: readonly string[]): Promise<Tensors> {
  const entries: [string, Tensor][] = [];
  for (const input of inputs) {
    const file = join(folder, `input_${order.indexOf(input.name)}.pb`);
    const bytes = await readFile(file).catch((error: unknown) => {
      throw asTandemError(error, 'BAD_INPUT', `expected input ${input.name} in ${file}`);
    });
    const { constant } = readTensorFile(bytes, file);
    if (!isDType(constant.elementType))
      throw new TandemError('UNSUPPORTED', `${file} is of type ${constant.elementType}`);
    entries.push([input.name, constantTensor(constant)]);
  }
  return Object.fromEntries(entries);
}
