/** A layer's weight in int8 and its bias in int32, each a constant behind a DequantizeLinear. */
import { constantOf, type FreshNames, floatConstant, type Graph, int, makeNode, type Node } from '../graph/graph.ts';
import { biasCodes, weightCodeMax, weightCodes, weightScales } from './integer-codes.ts';
import { type Layer, rowCount, weightRows } from './layers.ts';

export interface LayerContext {
  readonly graph: Graph;
  readonly fresh: FreshNames;
  /** What was made of a weight, for another layer that reads the same. */
  readonly known: Map<string, string>;
}

/**
 * Rewrites the layer's inputs in place, and adds the constants.
 * @param inputScale of the codes of the layer's first input
 * @returns the nodes that have to come before it
 */
export function quantizeLayer(
  { graph, fresh, known }: LayerContext,
  layer: Layer,
  inputScale: number,
  granularity: 'tensor' | 'channel',
  bits: 7 | 8,
): Node[] {
  const { node, shape, axis } = layer;
  const weight = floatConstant(graph, layer.weight) ?? { shape, data: new Float32Array(0) };
  const biasName = node.inputs[2] ?? '';
  const bias = floatConstant(graph, biasName)?.data;
  const codeMax = weightCodeMax(bits);
  // A stack of matrices has no kernel with a scale a column.
  const isPerChannel = granularity === 'channel' && (layer.kind !== 'matmul' || shape.length === 2);
  const rows = weightRows(layer, weight.data);
  const per = isPerChannel ? 'channel' : 'tensor';
  const scales = weightScales(rows, rowCount(layer), per, codeMax, bias, inputScale);
  const made: Node[] = [];
  const dequantize = (stem: string, codes: ReturnType<typeof constantOf>, factors: Float32Array, along: number) => {
    const [codesName, scaleName, zeroName] = [fresh(`${stem}.codes`), fresh(`${stem}.scale`), fresh(`${stem}.zero`)];
    const scaleShape = isPerChannel ? [factors.length] : [];
    const zero = new (codes.elementType === 'int8' ? Int8Array : Int32Array)(factors.length);
    graph.initializers.set(codesName, codes);
    graph.initializers.set(scaleName, constantOf({ dtype: 'float32', shape: scaleShape, data: factors }));
    graph.initializers.set(
      zeroName,
      constantOf({ dtype: codes.elementType === 'int8' ? 'int8' : 'int32', shape: scaleShape, data: zero }),
    );
    const output = fresh(`${stem}.dequantized`);
    const attributes = isPerChannel ? { axis: int(along) } : {};
    made.push(makeNode('DequantizeLinear', [codesName, scaleName, zeroName], [output], attributes));
    return output;
  };
  const key = `${layer.weight} ${axis} ${codeMax} ${scales.join()}`;
  const weightName =
    known.get(key) ??
    dequantize(
      layer.weight,
      constantOf({ dtype: 'int8', shape, data: weightCodes(weight, axis, scales, codeMax) }),
      scales,
      axis,
    );
  known.set(key, weightName);
  const inputs = [node.inputs[0] ?? '', weightName];
  if (bias) {
    const factors = scales.map((scale) => scale * inputScale);
    const codes = constantOf({ dtype: 'int32', shape: [bias.length], data: biasCodes(bias, factors) });
    inputs.push(dequantize(biasName, codes, factors, 0));
  }
  node.inputs = inputs;
  return made;
}
