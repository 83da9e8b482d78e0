type Tree = Record<string, unknown>;

/** A copy of a JSON-like value with one place of it, "boundaries.0.tiers", set to something else. */
export function changed(value: unknown, path: string, to: unknown): unknown {
  const copy = structuredClone(value) as Tree;
  const keys = path.split('.');
  const last = keys.pop() as string;
  const parent = keys.reduce((at, key) => at[key] as Tree, copy);
  parent[last] = to;
  return copy;
}
