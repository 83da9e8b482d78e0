/**
 * onnxruntime on a slower device: each segment takes as long as the plan has it, times the slowness, and waits for what is left
 * of that. What else the machine does meanwhile is felt only where it is slower still.
 */
import { setTimeout as wait } from 'node:timers/promises';
import type { InferenceSession, Tensor } from 'onnxruntime-common';
import type { OrtModule } from '../../runtimes/onnxruntime.ts';
import type { Plan } from '../../shared/plan.ts';
import { costAt } from '../../shared/size.ts';
import { sizeOf } from '../../shared/size-of.ts';

/** How slow it is, of which plan; that is known once the client has it. */
export interface Pace {
  plan: Plan | null;
  readonly slowness: number;
}

export function slowed(ort: OrtModule, pace: Pace): OrtModule {
  return {
    Tensor: ort.Tensor,
    env: ort.env,
    InferenceSession: {
      create: async (model, options) => {
        const session = await ort.InferenceSession.create(model, options);
        const run = session.run.bind(session) as (
          feeds: InferenceSession.FeedsType,
        ) => Promise<InferenceSession.ReturnType>;
        session.run = async (feeds: InferenceSession.FeedsType) => {
          const startMs = performance.now();
          const outputs = await run(feeds);
          const leftMs = pace.slowness * plannedMs(pace.plan, feeds) - (performance.now() - startMs);
          if (leftMs > 0) await wait(leftMs);
          return outputs;
        };
        return session;
      },
    },
  };
}

/** Of the segment that takes these inputs, at their size. */
function plannedMs(plan: Plan | null, feeds: InferenceSession.FeedsType): number {
  const at = plan?.boundaries.findIndex(({ tensors }) => tensors.every(({ name }) => feeds[name] !== undefined)) ?? -1;
  const cost = plan?.measured?.timeMs['wasm']?.[at];
  const spec = plan?.boundaries[at]?.tensors[0];
  if (!plan || !cost || !spec) throw new RangeError(`no segment of the plan takes ${Object.keys(feeds).join(', ')}`);
  return costAt(cost, sizeOf(spec, (feeds[spec.name] as Tensor).dims, plan.size) ?? plan.size.typical);
}
