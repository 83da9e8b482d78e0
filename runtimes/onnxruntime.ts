/**
 * What the two onnxruntime packages have in common: their API is one (onnxruntime-common), so is the translation of
 * tensors and sessions. The module itself is handed in, so that no bundle ends up with both.
 */
import type { InferenceSession, Tensor as OrtTensor, TensorConstructor } from 'onnxruntime-common';
import { asTandemError } from '../shared/errors.ts';
import type { Runtime, Session } from '../shared/runtime.ts';
import { heldData, isDType, type Tensor, type Tensors } from '../shared/tensor.ts';

/** `import * as ort from 'onnxruntime-node'` or `'onnxruntime-web/wasm'`. */
export interface OrtModule {
  readonly Tensor: TensorConstructor;
  readonly InferenceSession: {
    create(model: Uint8Array, options?: InferenceSession.SessionOptions): Promise<InferenceSession>;
  };
  readonly env: { readonly versions: { readonly common: string; readonly node?: string; readonly web?: string } };
}

export function ortRuntime(ort: OrtModule, name: string, options: InferenceSession.SessionOptions): Runtime {
  return {
    name,
    async load(model, external = []) {
      try {
        const beside = external.length > 0 ? { externalData: [...external] } : {};
        return ortSession(ort, await ort.InferenceSession.create(model, { ...options, ...beside }));
      } catch (error) {
        throw asTandemError(error, 'BAD_MODEL', `${name} cannot load a model of ${model.byteLength} bytes`);
      }
    },
  };
}

function ortSession(ort: OrtModule, session: InferenceSession): Session {
  return {
    inputNames: session.inputNames,
    outputNames: session.outputNames,
    outputTypes: (session.outputMetadata ?? []).map((value) =>
      value.isTensor
        ? { name: value.name, elementType: value.type, shape: value.shape.map((dim) => (dim === '' ? null : dim)) }
        : { name: value.name, elementType: undefined, shape: [] },
    ),
    async run(feeds) {
      const inputs: Record<string, OrtTensor> = {};
      for (const name of session.inputNames) {
        const feed = feeds[name];
        if (feed) inputs[name] = toOrt(ort, feed);
      }
      return fromOrt(await session.run(inputs));
    },
    release: () => session.release(),
  };
}

function toOrt(ort: OrtModule, { dtype, shape, data }: Tensor): OrtTensor {
  // The overloads want each dtype with its own array; ours are matched by construction.
  const Tensor = ort.Tensor as unknown as new (type: string, data: unknown, dims: readonly number[]) => OrtTensor;
  return new Tensor(dtype, data, shape);
}

function fromOrt(outputs: InferenceSession.OnnxValueMapType): Tensors {
  const tensors: Record<string, Tensor> = {};
  for (const [name, { type, dims, data }] of Object.entries(outputs)) {
    if (!isDType(type)) throw new TypeError(`output ${name} is of type ${type}, which Tandem does not carry`);
    // Where the browser has an array for float16, onnxruntime-web gives that.
    tensors[name] = { dtype: type, shape: dims, data: heldData(type, data as Tensor['data']) };
  }
  return tensors;
}
