/**
 * The chain with shapes made anew where what crosses determines them. What is inferred of dimensions is believed only after
 * runs of the whole model bore it out: a wrong rule, here or in the runtime, then costs a few bytes and no wrong answer.
 */
import type { Runtime } from '../../shared/runtime.ts';
import type { Tensors } from '../../shared/tensor.ts';
import type { KnownDim } from '../graph/dim-algebra.ts';
import { type KnownDims, knownDims } from '../graph/dims.ts';
import { indexGraph, type Model } from '../graph/graph.ts';
import { loadModel } from '../onnx/load.ts';
import { withTaps } from '../prepare.ts';
import { extractChain } from './extract.ts';
import { buildChain, type Chain } from './segments.ts';

type Cuts = readonly (readonly string[])[];

/**
 * @param model with its inner types inferred
 * @param cuts tensor names of boundaries 1..K-1
 * @param samples inputs of several sizes, where the model takes such
 * @throws BAD_CUT
 */
export async function buildProvenChain(
  model: Model,
  cuts: Cuts,
  runtime: Runtime,
  samples: readonly Tensors[],
): Promise<Chain> {
  return buildChain(model, cuts, await provenDims(model, cuts, runtime, samples));
}

/** Dimensions of what crosses, and of what has shapes that would cross: nothing where there are none, or one is wrong. */
export async function provenDims(
  model: Model,
  cuts: Cuts,
  runtime: Runtime,
  samples: readonly Tensors[],
): Promise<KnownDims> {
  const { producer } = indexGraph(model.graph);
  const { boundaries } = extractChain(model.graph, cuts);
  const shapes = boundaries.slice(1, -1).flatMap((boundary, i) => boundary.slice(cuts[i]?.length));
  if (shapes.length === 0) return new Map();
  const sources = shapes.flatMap((name) => producer.get(name)?.inputs.slice(0, 1) ?? []);
  const known = await knownDims(model, runtime);
  const dims = new Map([...cuts.flat(), ...sources].flatMap((name) => entryOf(known, name)));
  return (await areTrue(model, dims, runtime, samples)) ? dims : new Map();
}

function entryOf(dims: KnownDims, name: string): [string, readonly KnownDim[]][] {
  const found = dims.get(name);
  return found ? [[name, found]] : [];
}

/** What cannot be run is not borne out; why it cannot is said where the chain is run on the same. */
async function areTrue(model: Model, dims: KnownDims, runtime: Runtime, samples: readonly Tensors[]): Promise<boolean> {
  try {
    const session = await loadModel(runtime, withTaps(model, [...dims.keys()]));
    try {
      for (const sample of samples) {
        if (!holds(dims, { ...sample, ...(await session.run(sample)) })) return false;
      }
    } finally {
      await session.release();
    }
    return true;
  } catch {
    return false;
  }
}

/** Whether shapes are as said, with one number for each symbol. */
function holds(dims: KnownDims, tensors: Tensors): boolean {
  const numbers = new Map<string, number>();
  for (const [name, said] of dims) {
    const shape = tensors[name]?.shape ?? [];
    if (shape.length !== said.length) return false;
    for (const [axis, dim] of said.entries()) {
      const actual = shape[axis] as number;
      if ((typeof dim === 'number' ? dim : (numbers.get(dim) ?? actual)) !== actual) return false;
      if (typeof dim === 'string') numbers.set(dim, actual);
    }
  }
  return true;
}
