/**
 * Products with a constant matrix as onnxruntime's MatMulNBits: weights stay in 4 bits in memory, blocks of 32 inputs with
 * a scale each, and are multiplied from there. For native CPUs alone: in wasm the operator is slower than float (research:
 * 19 times at one row), and storage by `storeWeights` is what serves there.
 */
import { elementCount } from '../../shared/tensor.ts';
import {
  constantOf,
  type FreshNames,
  floatAttribute,
  floatConstant,
  freshNames,
  type Graph,
  int,
  intAttribute,
  type Model,
  makeNode,
  type Node,
  usedValues,
} from '../graph/graph.ts';
import { gptq } from './gptq.ts';
import { inputColumns } from './input-rows.ts';
import type { LayerGrams } from './layer-grams.ts';
import { type Layer, layersOf, rowCount, weightRows } from './layers.ts';
import { chooseGrid, columnImportance, roundRows } from './quantize-rows.ts';

/** onnxruntime's own operators. */
const CONTRIB = 'com.microsoft';
const BITS = 4;
/** Inputs that share a scale. */
const BLOCK = 32;
/** Codes from -7 to 7, held as 1 to 15. */
const LEVELS = 7;
/** What the operator subtracts from a code where it is given no zero points. */
const ZERO_POINT = 8;
/** Smaller matrices are left: there is nothing to save. */
const ELEMENTS_MIN = 4096;

/**
 * Rewrites in place MatMul, and Gemm that neither scales nor transposes its input, with a constant matrix. The model then
 * imports com.microsoft.
 * @param names of the layers that may be rewritten; all where it is absent
 * @param grams layers that have some are rounded by GPTQ, the others to the nearest code
 * @returns names of the layers that were
 */
export function toMatMulNBits(model: Model, names?: ReadonlySet<string>, grams: LayerGrams = new Map()): string[] {
  const { graph } = model;
  const layers = layersOf(graph).filter((layer) => isProduct(layer) && (names?.has(layer.name) ?? true));
  if (layers.length === 0) return [];
  const fresh = freshNames(graph);
  // Readers of a matrix the same way share its codes; the first one's samples stand for all.
  const packed = new Map<string, string[]>();
  const replaced = new Map<Node, Node[]>();
  for (const layer of layers) {
    const key = `${layer.axis} ${layer.weight}`;
    const inputs = packed.get(key) ?? packWeight(graph, layer, fresh, grams.get(layer.name)?.[0]?.gram);
    packed.set(key, inputs);
    replaced.set(layer.node, productNodes(layer, inputs, fresh));
  }
  graph.nodes = graph.nodes.flatMap((node) => replaced.get(node) ?? [node]);
  const used = new Set([...graph.nodes.flatMap(usedValues), ...graph.outputs.map(({ name }) => name)]);
  for (const { weight } of layers) if (!used.has(weight)) graph.initializers.delete(weight);
  model.opsets.set(CONTRIB, 1);
  return layers.map(({ name }) => name);
}

function isProduct({ kind, node, shape }: Layer): boolean {
  if (shape.length !== 2 || elementCount(shape) < ELEMENTS_MIN) return false;
  if (kind === 'matmul') return true;
  const isPlain = ['alpha', 'beta'].every((name) => floatAttribute(node, name, 1) === 1);
  return kind === 'gemm' && isPlain && intAttribute(node, 'transA', 0) === 0;
}

/** The node that multiplies, and the one that adds a Gemm's bias. */
function productNodes(layer: Layer, packed: readonly string[], fresh: FreshNames): Node[] {
  const { node, name } = layer;
  const bias = node.inputs[2] ?? '';
  const product = bias === '' ? name : fresh(`${name}.product`);
  const sizes = { K: int(inputColumns(layer)), N: int(rowCount(layer)) };
  const multiply = {
    ...makeNode('MatMulNBits', [node.inputs[0] ?? '', ...packed], [product], {
      ...sizes,
      bits: int(BITS),
      block_size: int(BLOCK),
    }),
    domain: CONTRIB,
  };
  return bias === '' ? [multiply] : [multiply, makeNode('Add', [product, bias], [name])];
}

/** Names of the codes and of the scales, which are added to the graph. */
function packWeight(graph: Graph, layer: Layer, fresh: FreshNames, gram: Float64Array | undefined): string[] {
  const columns = inputColumns(layer);
  const outputs = rowCount(layer);
  const rows = weightRows(layer, floatConstant(graph, layer.weight)?.data ?? new Float32Array());
  const importance = gram && columnImportance(gram, columns);
  const grid = chooseGrid(rows, { columns, levels: LEVELS, block: BLOCK }, importance);
  const codes = gram ? gptq(rows, gram, grid) : roundRows(rows, grid);
  const blocks = Math.ceil(columns / BLOCK);
  const codesName = fresh(`${layer.weight}.int4`);
  const scalesName = fresh(`${layer.weight}.scales`);
  const bytes = packNibbles(codes, columns, blocks);
  const packed = { dtype: 'uint8', shape: [outputs, blocks, BLOCK / 2], data: bytes } as const;
  graph.initializers.set(codesName, constantOf(packed));
  graph.initializers.set(scalesName, constantOf({ dtype: 'float32', shape: [outputs * blocks], data: grid.scales }));
  return [codesName, scalesName];
}

/** [rows, blocks, BLOCK / 2]: the first of two codes in the low half. Behind a row's end lies the code of 0. */
function packNibbles(codes: Int8Array, columns: number, blocks: number): Uint8Array {
  const rows = codes.length / columns;
  const bytes = new Uint8Array((rows * blocks * BLOCK) / 2).fill(ZERO_POINT | (ZERO_POINT << BITS));
  for (let row = 0; row < rows; row++) {
    for (let c = 0; c < columns; c++) {
      const at = (row * blocks * BLOCK + c) >> 1;
      const level = (codes[row * columns + c] as number) + ZERO_POINT;
      const byte = bytes[at] as number;
      bytes[at] = c % 2 === 0 ? (byte & 0xf0) | level : (byte & 0x0f) | (level << BITS);
    }
  }
  return bytes;
}
