/** What each choice costs at each size, as the plan measured it: the truth of the simulated world, before noise. */
import { depthOf, outputsBehind, type Plan, type TensorSpec, tierKey } from '../shared/plan.ts';
import { FRAME_OVERHEAD_BYTES, REPLY_OVERHEAD_BYTES } from '../shared/schedule/snapshot.ts';
import { costAt, shapeAt } from '../shared/size.ts';
import { bytesPerElement, elementCount } from '../shared/tensor.ts';
import type { Choice } from './choices.ts';

/** Milliseconds and bytes of sending one boundary at one tier, on a machine as fast as the plan's. */
export interface TailCosts {
  readonly k: number;
  readonly tier: string;
  readonly encodeMs: number;
  readonly bytesUp: number;
  readonly decodeMs: number;
  readonly computeMs: number;
  readonly bytesDown: number;
}

export interface SizeCosts {
  /** Of segment i+1. */
  readonly deviceMs: readonly number[];
  /** By `tierKey`. */
  readonly tails: ReadonlyMap<string, TailCosts>;
  /** Of the choices that are allowed, shallowest first. */
  readonly allowed: readonly TailCosts[];
}

const ENCODE_MS_MIN = 0.3;

/** What no plan says. */
export interface Besides {
  /** Device time of encoding over planned server time of decoding, which alone is measured. */
  readonly encodePerDecode: number;
  /** Of each request. */
  readonly serverOverheadMs?: number;
}

export class PlanCosts {
  readonly plan: Plan;
  readonly target: string;
  private readonly choices: readonly Choice[];
  private readonly besides: Besides;
  private readonly bySize = new Map<number, SizeCosts>();

  constructor(plan: Plan, target: string, choices: readonly Choice[], besides: Besides) {
    this.plan = plan;
    this.target = target;
    this.choices = choices;
    this.besides = besides;
  }

  at(size: number): SizeCosts {
    let costs = this.bySize.get(size);
    if (!costs) {
      costs = this.compute(size);
      this.bySize.set(size, costs);
    }
    return costs;
  }

  private compute(size: number): SizeCosts {
    const { plan } = this;
    const { encodePerDecode, serverOverheadMs = 0 } = this.besides;
    const times = (place: string) =>
      plan.segments.map((_, i) => costAt(plan.measured?.timeMs[place]?.[i] ?? { fixed: 0, perSize: 0 }, size));
    const serverMs = times('server');
    const tails = new Map<string, TailCosts>();
    for (let k = 0; k < depthOf(plan); k++) {
      const computeMs = serverMs.slice(k).reduce((sum, ms) => sum + ms, serverOverheadMs);
      const bytesDown =
        REPLY_OVERHEAD_BYTES + outputsBehind(plan, k).reduce((sum, spec) => sum + tensorBytes(spec, size), 0);
      for (const { name } of plan.boundaries[k]?.tiers ?? []) {
        const measured = plan.measured?.tiers.find((entry) => entry.k === k && entry.tier === name);
        const raw = () => plan.boundaries[k]?.tensors.reduce((sum, spec) => sum + tensorBytes(spec, size), 0) ?? 0;
        const decodeMs = measured ? costAt(measured.decodeMs, size) : 0;
        tails.set(tierKey(k, name), {
          ...{ k, tier: name, decodeMs, computeMs, bytesDown },
          encodeMs: Math.max(ENCODE_MS_MIN, decodeMs * encodePerDecode),
          bytesUp: FRAME_OVERHEAD_BYTES + (measured ? costAt(measured.bytes, size) : raw()),
        });
      }
    }
    const allowed = this.choices.flatMap(({ k, tier }) =>
      tier === null ? [] : [tails.get(tierKey(k, tier)) as TailCosts],
    );
    return { deviceMs: times(this.target), tails, allowed };
  }
}

function tensorBytes(spec: TensorSpec, size: number): number {
  return bytesPerElement(spec.dtype) * elementCount(shapeAt(spec, size));
}
