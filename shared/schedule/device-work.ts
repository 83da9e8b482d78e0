/** What the device has yet to do for the requests of a client: it runs one thing at a time, and who comes next has to wait. */
export class DeviceWork {
  private readonly planned = new Map<object, number>();

  /** So many milliseconds are to be run for a request, in place of what was planned for it before. */
  plan(request: object, ms: number): void {
    this.planned.set(request, ms);
  }

  /** Nothing more is to be run for it. */
  done(request: object): void {
    this.planned.delete(request);
  }

  /** Milliseconds that are planned for all others. */
  aheadOf(request: object): number {
    let sum = 0;
    for (const [other, ms] of this.planned) if (other !== request) sum += ms;
    return sum;
  }
}
