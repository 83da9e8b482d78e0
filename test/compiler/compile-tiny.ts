/** Compiling the tiny model by a clock that a test sets, so that what is chosen by time is always the same. */

import { join } from 'node:path';
import * as ort from 'onnxruntime-node';
import sharp from 'sharp';
import { type CompileResult, compileModel } from '../../compiler/compile.ts';
import type { CompileRequest } from '../../compiler/compile-request.ts';
import type { TimingPlace } from '../../compiler/measure/places.ts';
import { readModel } from '../../compiler/onnx/read.ts';
import { folderSource } from '../../runtimes/bundle-folder.ts';
import { nodeRuntime } from '../../runtimes/onnxruntime-node.ts';
import { sharpPictures } from '../../runtimes/pictures-sharp.ts';
import type { Runtime, Session } from '../../shared/runtime.ts';
import type { TinyModel } from '../helpers/tiny-model.ts';

/** Whether a segment's file has weights stored in 8 bits. */
export function isStoredInt8(model: Uint8Array): boolean {
  return Buffer.from(model).includes('.int8');
}

export interface DeviceChanges extends Partial<Pick<TimingPlace, 'target' | 'hasFloat16'>> {
  readonly changed?: (session: Session, model: Uint8Array) => Session;
}

/**
 * Into a folder of the tiny model's.
 * @param costMs what one run of a device segment takes, by its file
 */
export function compileTiny(
  { recipe, dir }: TinyModel,
  folder: string,
  costMs: (model: Uint8Array) => number,
  changes: Partial<CompileRequest> = {},
  { target = 'node', hasFloat16, changed = (session) => session }: DeviceChanges = {},
): Promise<CompileResult> {
  const server = nodeRuntime(ort, { threads: 1 });
  let nowMs = 0;
  const device: Runtime = {
    name: 'timed',
    async load(model) {
      const session = changed(await server.load(model), model);
      const run: typeof session.run = (feeds) => {
        nowMs += costMs(model);
        return session.run(feeds);
      };
      return { ...session, run };
    },
  };
  return compileModel({
    ...{ recipe, outDir: join(dir, folder), earlier: folderSource(join(dir, folder)) },
    ...{ server, many: server, literal: server, devices: new Map([[target, device]]) },
    ...{ pictures: sharpPictures(sharp), measure: false, float: false, pins: [], now: () => nowMs },
    ...{ seed: 1, calibrationSamples: 16, testSamples: 4, heldOutSamples: 24, progress: () => {} },
    budget: { accuracyDropMax: 0.05, answersChangedMax: 0.05 },
    timing: async () => ({ places: new Map([[target, { target, runtime: device, hasFloat16 }]]), machine: 'none' }),
    optimized: async (model) => readModel(model, 'optimized'),
    ...changes,
  });
}
