/** One signal that ends what another controller controls. Not AbortSignal.any: older Safaris lack it. */

/** Aborts with the signal, for its reason. Gives what lets go of the signal. */
export function abortWith(controller: AbortController, signal: AbortSignal | null | undefined): () => void {
  const onAbort = () => controller.abort(signal?.reason);
  if (signal?.aborted) onAbort();
  signal?.addEventListener('abort', onAbort);
  return () => signal?.removeEventListener('abort', onAbort);
}
