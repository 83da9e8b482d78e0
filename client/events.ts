/** An EventTarget whose listeners cannot hurt: what one throws is reported, and the others are called all the same. */

export class Events<Map extends object> {
  private readonly target = new EventTarget();
  private readonly guarded = new WeakMap<object, EventListener>();
  private readonly report: (error: unknown) => void;

  constructor(report: (error: unknown) => void) {
    this.report = report;
  }

  add<T extends keyof Map & string>(
    type: T,
    listener: (event: Map[T]) => void,
    options?: AddEventListenerOptions,
  ): void {
    const known = this.guarded.get(listener);
    const guarded: EventListener =
      known ??
      ((event) => {
        try {
          listener(event as Map[T]);
        } catch (error) {
          this.report(error);
        }
      });
    this.guarded.set(listener, guarded);
    this.target.addEventListener(type, guarded, options);
  }

  remove<T extends keyof Map & string>(type: T, listener: (event: Map[T]) => void): void {
    const guarded = this.guarded.get(listener);
    if (guarded) this.target.removeEventListener(type, guarded);
  }

  dispatch<T extends keyof Map & string>(type: T, detail: Map[T] extends CustomEvent<infer D> ? D : never): void {
    this.target.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
