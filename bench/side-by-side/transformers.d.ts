/** What the comparison takes of @huggingface/transformers, whose own declarations do not compile where libraries are checked too. */
import type { Env, Tensor as OrtTensor } from 'onnxruntime-common';

export declare const env: {
  allowLocalModels: boolean;
  allowRemoteModels: boolean;
  localModelPath: string;
  readonly backends: { readonly onnx: { readonly wasm: Env.WebAssemblyFlags } };
};

export declare class Tensor {
  constructor(type: OrtTensor.Type, data: unknown, dims: readonly number[]);
  readonly data: unknown;
  readonly dims: readonly number[];
}

type Model = (inputs: Readonly<Record<string, Tensor>>) => Promise<Record<string, Tensor>>;

export declare const AutoModel: {
  from_pretrained(name: string, options: { readonly device: 'wasm'; readonly dtype: 'q8' }): Promise<Model>;
};
