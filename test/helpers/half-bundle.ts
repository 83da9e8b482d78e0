/**
 * The demo's bundle with segments for WebGPU beside its own, the first two of which compute in float16: as the compiler makes them
 * where an adapter can.
 */
import { cp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { planFile } from '../../compiler/bundle.ts';
import { toFloat16 } from '../../compiler/compress/to-float16.ts';
import { readModel } from '../../compiler/onnx/read.ts';
import { writeModel } from '../../compiler/onnx/write.ts';
import { serverRuntime } from '../../compiler/runtimes.ts';
import { unpackModel } from '../../shared/codec/weights.ts';
import type { Plan } from '../../shared/plan.ts';
import { BUNDLE_DIR, temporaryFolder } from './processes.ts';

/** Those behind sum over more than float16 has digits for: an adapter is off by 0.08 in the third. */
const HALVES = 2;

/** @returns its folder */
export async function halfBundle(): Promise<string> {
  const dir = join(await temporaryFolder(), 'half');
  await cp(BUNDLE_DIR, dir, { recursive: true });
  const plan: Plan = JSON.parse(await readFile(join(dir, 'plan.json'), 'utf8'));
  const segments = await Promise.all(
    plan.segments.map(async (segment, i) => {
      const own = segment.targets['wasm'];
      if (!own) throw new Error('the demo has no segments for wasm');
      if (i >= HALVES) return { ...segment, targets: { ...segment.targets, webgpu: own } };
      const { encoding: _packed, ...told } = own;
      const model = readModel(unpackModel(await readFile(join(dir, own.file))), own.file);
      await toFloat16(model, serverRuntime());
      const bytes = writeModel(model);
      const file = planFile(`${i + 1}.webgpu.onnx`, bytes);
      await writeFile(join(dir, file.file), bytes);
      // The same network: what it answers is to be what the one in float32 does.
      return {
        ...segment,
        targets: { ...segment.targets, webgpu: { ...told, ...file } },
      };
    }),
  );
  const measured = JSON.stringify(plan.measured).replaceAll('"target":"wasm"', '"target":"webgpu"');
  const { accuracy, ...others } = JSON.parse(measured);
  const figures = { ...others, accuracy: [...(plan.measured?.accuracy ?? []), ...accuracy] };
  figures.boundaryErrors.webgpu = figures.boundaryErrors.wasm;
  await writeFile(join(dir, 'plan.json'), JSON.stringify({ ...plan, segments, measured: figures }));
  return dir;
}
