/** What a model is made of and where it can be cut, before anything is decided. */
import { basename } from 'node:path';
import { hasCode, messageOf } from '../shared/errors.ts';
import type { Runtime } from '../shared/runtime.ts';
import { isDType, type Tensors } from '../shared/tensor.ts';
import { legalBoundaries } from './cut/boundaries.ts';
import { NAME_LENGTH_MAX } from './cut/boundary-specs.ts';
import { flowOf } from './cut/flow.ts';
import { bytesOf, costOf, type Types } from './graph/cost.ts';
import { type Dim, type Model, operatorsOf, type ValueInfo } from './graph/graph.ts';
import { inferTypes } from './graph/infer.ts';
import { observeTypes } from './graph/observe.ts';
import { verifyGraph } from './graph/verify.ts';
import { externalReader } from './onnx/files.ts';
import { readModel } from './onnx/read.ts';
import { prepareModel, readSource, readSourceBytes } from './prepare.ts';
import type { ModelRecipe } from './recipe.ts';
import { type Dims, randomSample, shapesTaken } from './samples/random.ts';

export interface InspectedTensor {
  readonly name: string;
  readonly elementType: string;
  /** As far as it is known. */
  readonly shape: readonly Dim[] | null;
  /** Bytes uncompressed; undefined where the shape is not known. */
  readonly bytes: number | undefined;
}

export interface InspectedBoundary {
  readonly tensors: readonly InspectedTensor[];
  /** Of all its tensors. */
  readonly bytes: number | undefined;
  /** Share of the model's multiply-accumulates that run before it, 0 to 1; undefined where none are known. */
  readonly macsBefore: number | undefined;
  /** Share of the parameters that a device needs to come this far. */
  readonly parametersBefore: number;
}

export interface Inspection {
  readonly model: string;
  readonly irVersion: number;
  readonly opsets: Readonly<Record<string, number>>;
  readonly nodes: number;
  /** Operators by how often they come, the most frequent first. */
  readonly operators: Readonly<Record<string, number>>;
  readonly parameters: number;
  readonly macs: number;
  /** Most bytes of activations alive at once. */
  readonly peakBytes: number;
  readonly inputs: readonly InspectedTensor[];
  readonly outputs: readonly InspectedTensor[];
  readonly boundaries: readonly InspectedBoundary[];
  /** What could not be found out, and why. */
  readonly remarks: readonly string[];
}

export interface InspectOptions {
  /** Tensors of one boundary at most, 1 to 4. */
  readonly tensorsMax: number;
  readonly dims: Dims;
  /** Loads graphs as they are. */
  readonly runtime: Runtime;
}

/** A model to look at: a file, or what a recipe makes of several. */
export type InspectedModel = Pick<ModelRecipe, 'source' | 'file' | 'joined' | 'fixed'>;

/** Throws NOT_FOUND or BAD_MODEL. */
export async function inspectModel(
  { source: name, file, joined, fixed }: InspectedModel,
  { tensorsMax, dims, runtime }: InspectOptions,
): Promise<Inspection> {
  const recipe = { source: name, file, joined, outputs: [], fixed };
  const source = await readSourceBytes(recipe);
  const asFiled = readModel(source, name, externalReader(file));
  verifyGraph(asFiled.graph, basename(name));
  const nodes = asFiled.graph.nodes.length;
  const operators = operatorsOf(asFiled.graph);
  const remarks: string[] = [];
  const model = await prepareModel(source, recipe, runtime).catch((error: unknown) => {
    if (hasCode(error, 'USAGE')) throw error;
    remarks.push(`the runtime cannot load it: ${messageOf(error)}`);
    return readSource(source, recipe);
  });
  const { graph } = model;
  const types = await knownTypes(model, runtime, dims, remarks);
  const flow = flowOf(graph);
  const cost = costOf(graph, types);
  if (cost.unknown.length > 0) {
    remarks.push(`the shapes of ${cost.unknown.length} values are not known: what they cost is not counted`);
  }
  const { legal, partsCutShort } = legalBoundaries(flow, tensorsMax, cost.byNode);
  if (partsCutShort > 0)
    remarks.push(`not all boundaries were looked at in ${partsCutShort} parts of the graph: too many`);
  const describe = (info: ValueInfo | undefined, name: string): InspectedTensor => {
    const known = types.get(name) ?? graph.values.get(name) ?? info;
    const { elementType = 'undefined', shape = null } = known ?? {};
    return { name, elementType, shape, bytes: bytesOf(types, name) };
  };
  const isCarried = ({ elementType, bytes }: InspectedTensor) =>
    (elementType === 'undefined' || isDType(elementType)) && bytes !== 0;
  const named = legal.filter(({ tensors }) => tensors.every((name) => name.length <= NAME_LENGTH_MAX));
  const sendable = named.filter(({ tensors }) => tensors.every((name) => isCarried(describe(undefined, name))));
  const leftOut = (count: number, why: string) => {
    if (count > 0) remarks.push(`${count} boundaries are left out: their tensors ${why}`);
  };
  leftOut(legal.length - named.length, `have names of more than ${NAME_LENGTH_MAX} characters`);
  leftOut(named.length - sendable.length, 'are empty, or of a type that cannot be sent');
  const boundaries = sendable.map(({ tensors, costBehind }): InspectedBoundary => {
    const described = tensors.map((name) => describe(undefined, name));
    return {
      tensors: described,
      bytes: described.every(({ bytes }) => bytes !== undefined)
        ? described.reduce((sum, { bytes = 0 }) => sum + bytes, 0)
        : undefined,
      macsBefore: cost.macs === 0 ? undefined : (cost.macs - costBehind.macs) / cost.macs,
      parametersBefore: cost.parameters === 0 ? 0 : (cost.parameters - costBehind.parameters) / cost.parameters,
    };
  });
  return {
    model: name,
    irVersion: model.irVersion,
    opsets: Object.fromEntries([...model.opsets].map(([domain, version]) => [domain || 'ai.onnx', version])),
    ...{ nodes, operators, parameters: cost.parameters, macs: cost.macs, peakBytes: cost.peakBytes },
    inputs: graph.inputs.map((info) => describe(info, info.name)),
    outputs: graph.outputs.map((info) => describe(info, info.name)),
    ...{ boundaries, remarks },
  };
}

/** By inference, and by a run on noise at the sizes asked for. What cannot be had is remarked on, and nothing fails. */
async function knownTypes(model: Model, runtime: Runtime, dims: Dims, remarks: string[]): Promise<Types> {
  const { graph } = model;
  try {
    await inferTypes(model, runtime, true);
    const feeds: Tensors = randomSample(graph, dims, 1);
    remarks.push(...shapesTaken(graph.inputs, dims));
    return await observeTypes(model, runtime, feeds);
  } catch (error) {
    remarks.push(`shapes are those that inference knows, for the model could not be run: ${messageOf(error)}`);
    return new Map([...graph.inputs, ...graph.outputs, ...graph.values.values()].map((info) => [info.name, info]));
  }
}
