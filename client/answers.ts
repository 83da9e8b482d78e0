/** Answers by idempotency key: the same question asked again, by a retry or a double tap, is the same request. */
const KEPT_MAX = 256;

export class Answers<T> {
  private readonly known = new Map<string, Promise<T>>();

  /** What is under way or was answered under this key; asked anew where that failed. */
  once(key: string, ask: () => Promise<T>): Promise<T> {
    const known = this.known.get(key);
    if (known) return known;
    const answer = ask();
    this.known.set(key, answer);
    answer.catch(() => this.known.delete(key));
    const [oldest] = this.known.keys();
    if (this.known.size > KEPT_MAX && oldest !== undefined) this.known.delete(oldest);
    return answer;
  }
}
