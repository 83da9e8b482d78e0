/** The device's half as a test wants it: the SDK's own device, on an engine that runs no model, and mortal. */
import type { Clock } from '../../shared/clock.ts';
import type { Crossing } from '../../shared/codec/boundary.ts';
import { TandemError } from '../../shared/errors.ts';
import { boundaryAt, depthOf, type Plan, type TensorSpec } from '../../shared/plan.ts';
import { seededRandom } from '../../shared/random.ts';
import type { Runtime } from '../../shared/runtime.ts';
import { shapeAt } from '../../shared/size.ts';
import { sizeOf } from '../../shared/size-of.ts';
import { type Tensor, type Tensors, zeros } from '../../shared/tensor.ts';
import { type Device, localDevice } from '../device.ts';
import { pause } from '../pause.ts';
import type { Asked } from './answer.ts';
import { fakePictures } from './fake-pictures.ts';
import { TARGET } from './served-plan.ts';

export interface FakeDevice {
  /** What a segment takes to run, in milliseconds of the fake clock: each, or one by one from the first. */
  msPerSegment: number | readonly number[];
  /** Devices made so far: one each client, and one for each that died. */
  readonly made: number;
  /** Segments fail with this message from now on; null ends that. A request whose segment fails goes to the cloud, if it may. */
  failWith(message: string | null): void;
  /** What lives dies, as a worker does that runs out of memory: what runs on it fails, and clients make another after a second. */
  kill(reason?: string): void;
}

export class FakeDevices implements FakeDevice {
  msPerSegment: number | readonly number[] = 0;
  made = 0;
  private failure: string | null = null;
  private readonly alive = new Set<(reason: string) => void>();
  private readonly clock: Clock;
  private readonly answer: (asked: Asked) => Tensors;

  constructor(clock: Clock, answer: (asked: Asked) => Tensors) {
    this.clock = clock;
    this.answer = answer;
  }

  failWith(message: string | null): void {
    this.failure = message;
  }

  kill(reason = 'out of memory'): void {
    for (const die of [...this.alive]) die(reason);
  }

  /** A device for one client. */
  make(plan: Plan, onLost: (reason: string) => void): Device {
    this.made++;
    const runtime = fakeRuntime(plan, async (k) => {
      const ms = typeof this.msPerSegment === 'number' ? this.msPerSegment : (this.msPerSegment[k] ?? 0);
      if (ms > 0) await pause(this.clock, ms, new AbortController().signal);
    });
    const own = localDevice({
      plan,
      target: TARGET,
      runtime,
      pictures: fakePictures(),
      clock: this.clock,
      random: seededRandom(1),
    });
    const advance: Device['advance'] = async (crossing) => {
      const { value, ms } = await own.advance(crossing);
      if (this.failure !== null) throw new Error(this.failure);
      return { value: { ...value, tensors: this.answered(plan, value) }, ms };
    };
    const { device, die } = mortal({ ...own, advance }, onLost);
    const kill = (reason: string) => {
      this.alive.delete(kill);
      die(reason);
    };
    this.alive.add(kill);
    const close = async () => {
      this.alive.delete(kill);
      // A worker is ended whatever it is at: that takes no time of the test's.
      void own.close();
    };
    return { ...device, close };
  }

  /** The tensors of a boundary that was just reached, with the test's in the place of the model's outputs among them. */
  private answered(plan: Plan, { k, size, tensors }: Crossing): Tensors {
    const made = plan.segments[k - 1]?.outputs ?? [];
    const outputs = boundaryAt(plan, depthOf(plan)).tensors.filter(({ name }) => made.includes(name));
    if (outputs.length === 0) return tensors;
    const answer = this.answer({ by: 'device', k: depthOf(plan), size });
    return { ...tensors, ...Object.fromEntries(outputs.map(({ name }) => [name, answer[name] as Tensor])) };
  }
}

/** A device that can be made to die, and rejects then what is under way, as calls to a worker do. */
export function mortal(
  device: Device,
  onLost: (reason: string) => void,
): { readonly device: Device; die(reason: string): void } {
  let death: TandemError | null = null;
  const dying: ((error: TandemError) => void)[] = [];
  const whileAlive = <T>(work: () => Promise<T>): Promise<T> =>
    death ? Promise.reject(death) : Promise.race([work(), new Promise<never>((_, reject) => dying.push(reject))]);
  return {
    device: {
      ...device,
      load: (k, model) => whileAlive(() => device.load(k, model)),
      begin: (picture) => whileAlive(() => device.begin(picture)),
      advance: (crossing) => whileAlive(() => device.advance(crossing)),
      addNoise: (crossing, noise) => whileAlive(() => device.addNoise(crossing, noise)),
      encode: (crossing, tier) => whileAlive(() => device.encode(crossing, tier)),
    },
    die(reason) {
      onLost(reason);
      death = new TandemError('DEVICE_FAILED', reason);
      for (const reject of dying) reject(death);
    },
  };
}

/**
 * An engine for `servedPlan`'s files, whose segments make zeros.
 * @param run resolves when a run of segment k+1 is to end
 */
function fakeRuntime(plan: Plan, run: (k: number) => Promise<void>): Runtime {
  const specs = new Map(plan.boundaries.flatMap(({ tensors }) => tensors.map((spec) => [spec.name, spec])));
  return {
    name: 'fake',
    async load(model) {
      const k = (model[0] ?? 0) - 1;
      const { inputs: inputNames = [], outputs: outputNames = [] } = plan.segments[k] ?? {};
      return {
        ...{ inputNames, outputNames },
        async run(feeds) {
          await run(k);
          const size = sizeOfFeeds(plan, specs, feeds);
          const outputs = outputNames.flatMap((name): [string, Tensor][] => {
            const spec = specs.get(name);
            return spec ? [[name, zeros(spec.dtype, shapeAt(spec, size))]] : [];
          });
          return Object.fromEntries(outputs);
        },
        release: async () => {},
      };
    },
  };
}

function sizeOfFeeds(plan: Plan, specs: ReadonlyMap<string, TensorSpec>, feeds: Tensors): number {
  for (const [name, { shape }] of Object.entries(feeds)) {
    const spec = specs.get(name);
    const size = spec && sizeOf(spec, shape, plan.size);
    if (size !== undefined) return size;
  }
  return plan.size.typical;
}
