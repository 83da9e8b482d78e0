/** A graph into a runtime: as one message, with the weights that one message cannot hold beside it. */
import type { ExternalData, Runtime, Session } from '../../shared/runtime.ts';
import type { Model } from '../graph/graph.ts';
import { MODEL_BYTES_MAX, weightBytes } from './size.ts';
import { writeModel } from './write.ts';

/** Smaller constants stay inside: a runtime looks at their values to infer shapes. */
const EXTERNAL_BYTES_MIN = 1024;

/**
 * @param bytesMax of the weights, for tests
 * @throws BAD_MODEL; UNSUPPORTED for weights that the runtime takes in a message alone
 */
export function loadModel(runtime: Runtime, model: Model, bytesMax: number = MODEL_BYTES_MAX): Promise<Session> {
  if (weightBytes(model.graph) <= bytesMax) return runtime.load(writeModel(model));
  const external: ExternalData[] = [];
  const message = writeModel(model, ({ bytes }) => {
    if (bytes.byteLength < EXTERNAL_BYTES_MIN) return undefined;
    const path = `weights.${external.length}`;
    external.push({ path, data: bytes });
    return { location: path, offset: 0, length: bytes.byteLength };
  });
  return runtime.load(message, external);
}
