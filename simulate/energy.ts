/** Energy of one client by a simple model: a busy core, bytes, and a radio that stays awake for a while after them. */
import type { Energy } from './profiles.ts';

export class EnergyMeter {
  deviceJ = 0;
  radioJ = 0;
  private awakeUntilMs = 0;
  private readonly constants: Energy;

  constructor(constants: Energy) {
    this.constants = constants;
  }

  device(busyMs: number): void {
    this.deviceJ += (busyMs / 1000) * this.constants.deviceWatts;
  }

  /** The radio was on from one time to the other, and carried that. */
  radio(fromMs: number, toMs: number, bytesUp: number, bytesDown: number): void {
    const { joulesPerByteUp, joulesPerByteDown, radioWatts, tailWatts, tailMs } = this.constants;
    const onMs = Math.max(0, toMs - fromMs);
    // Only what is beyond the tail that is paid for already.
    const tailFromMs = Math.max(this.awakeUntilMs, toMs);
    const tailUntilMs = toMs + tailMs;
    const newTailMs = Math.max(0, tailUntilMs - tailFromMs);
    this.awakeUntilMs = Math.max(this.awakeUntilMs, tailUntilMs);
    this.radioJ += bytesUp * joulesPerByteUp + bytesDown * joulesPerByteDown;
    this.radioJ += (onMs / 1000) * radioWatts + (newTailMs / 1000) * tailWatts;
  }
}
