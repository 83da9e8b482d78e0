/**
 * onnxruntime-react-native: the runtime inside an app on Android or iOS. UNMEASURED: it is checked against the package's
 * types and its native source (1.24.3), and its options with onnxruntime in Node. It has never run on a phone.
 */
import type { InferenceSession } from 'onnxruntime-common';
import { TandemError } from '../shared/errors.ts';
import type { Runtime } from '../shared/runtime.ts';
import { type OrtModule, ortRuntime } from './onnxruntime.ts';

/** `import * as ort from 'onnxruntime-react-native'`. */
export interface ReactNativeOrtModule extends OrtModule {
  readonly InferenceSession: OrtModule['InferenceSession'] & {
    create(path: string, options?: InferenceSession.SessionOptions): Promise<InferenceSession>;
  };
  listSupportedBackends(): readonly { readonly name: string }[];
  readonly env: OrtModule['env'] & { readonly versions: { readonly 'react-native'?: string } };
}

export interface ReactNativeRuntimeOptions {
  /** Tried in this order, for what each can do; those that the app's build lacks are left out. The rest runs on `cpu`. */
  readonly providers: readonly ('nnapi' | 'coreml' | 'xnnpack' | 'cpu')[];
  /** Threads within one operator. */
  readonly threads: number;
  /**
   * Writes a model to a file and gives its path; the file is read until `load` resolves. Version 1.24.3 takes bytes as
   * well, but then looks for its options in the wrong argument: without a file it runs on `cpu`, with threads of its choice.
   */
  readonly saveModel?: (model: Uint8Array) => Promise<string>;
}

/** Throws UNSUPPORTED where providers are asked for that need a file, and nobody writes one. */
export function reactNativeRuntime(ort: ReactNativeOrtModule, options: ReactNativeRuntimeOptions): Runtime {
  const { saveModel, threads } = options;
  const built = ort.listSupportedBackends().map(({ name }) => name);
  const wanted = options.providers.filter((name) => name !== 'cpu');
  if (wanted.length > 0 && !saveModel) {
    throw new TandemError('UNSUPPORTED', `onnxruntime-react-native uses ${wanted} for models in files: give saveModel`);
  }
  const providers = [...wanted.filter((name) => built.includes(name)), 'cpu'];
  const fromFile: OrtModule = {
    Tensor: ort.Tensor,
    env: ort.env,
    InferenceSession: {
      async create(model, sessionOptions) {
        if (saveModel) return ort.InferenceSession.create(await saveModel(model), sessionOptions);
        // A copy has a buffer of its own: the native side reads the whole buffer that a view lies in.
        return ort.InferenceSession.create(new Uint8Array(model), sessionOptions);
      },
    },
  };
  const { versions } = ort.env;
  const name = `onnxruntime-react-native ${versions['react-native'] ?? versions.common}, ${providers.join(' and ')}`;
  return ortRuntime(fromFile, name, { executionProviders: providers, intraOpNumThreads: threads });
}
