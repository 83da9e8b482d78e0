/** Shapes in a .tflite file, written over: LiteRT.js resizes nothing, and a converter may leave a shape open. */

/** A copy in which the named tensors of the first subgraph have other shapes, each of the rank that it had. */
export function reshaped(file: Uint8Array, shapes: Readonly<Record<string, readonly number[]>>): Uint8Array {
  const copy = Uint8Array.from(file);
  const view = new DataView(copy.buffer);
  const follow = (at: number) => at + view.getUint32(at, true);
  /** Where a table's field lies. Its vtable, which says so, lies a signed distance before it. */
  const field = (table: number, index: number) => {
    const vtable = table - view.getInt32(table, true);
    return table + view.getUint16(vtable + 4 + 2 * index, true);
  };
  const element = (vector: number, index: number) => vector + 4 + 4 * index;
  // Fields by the schema: Model.subgraphs is 2, SubGraph.tensors 0, Tensor.shape 0 and Tensor.name 3.
  const subgraph = follow(element(follow(field(follow(0), 2)), 0));
  const tensors = follow(field(subgraph, 0));
  const missing = new Set(Object.keys(shapes));
  for (let i = 0; i < view.getUint32(tensors, true); i++) {
    const tensor = follow(element(tensors, i));
    const at = follow(field(tensor, 3));
    const name = new TextDecoder().decode(copy.subarray(at + 4, at + 4 + view.getUint32(at, true)));
    const vector = follow(field(tensor, 0));
    const shape = shapes[name];
    if (!shape) continue;
    if (view.getUint32(vector, true) !== shape.length) throw new RangeError(`${name} is not of rank ${shape.length}`);
    for (const [axis, dim] of shape.entries()) view.setInt32(element(vector, axis), dim, true);
    missing.delete(name);
  }
  if (missing.size > 0) throw new RangeError(`there is no tensor ${[...missing]}`);
  return copy;
}
