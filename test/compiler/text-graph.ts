/**
 * Small graphs as text, to read and to compare. One line each:
 *
 *   in x [1,4,6,6]                 a float32 input
 *   const w [8,4,3,3]              a float32 initializer, random from a seed
 *   const c [1,3,1,1] = 2 3 4      one of given values
 *   ints s = 0 -1                  an int64 vector; `int i = 3` a scalar
 *   y = Conv(x, w) pads=[1,1,1,1]  a node; `3` for an input is a scalar constant, `3n` and `[1,-1]` one of int64,
 *                                  `-` one that is absent
 *   out y                          an output
 *
 * An attribute without a decimal point is an int, `a=[1,2]` ints, `a={1 2}` a float32 tensor, other words strings.
 */
import {
  type Attribute,
  type Constant,
  constantTensor,
  type Dim,
  float,
  type Graph,
  int,
  ints,
  makeGraph,
  makeNode,
  type Node,
} from '../../compiler/graph/graph.ts';
import { gaussian, type Random, seededRandom } from '../../shared/random.ts';
import { elementCount, type Tensor } from '../../shared/tensor.ts';

export function graphOf(text: string): Graph {
  const graph: Graph = makeGraph({ name: 'g', inputs: [], outputs: [], nodes: [] });
  const random = seededRandom(1);
  for (const line of linesOf(text)) {
    const node = /^(.+?) = (\w+)\((.*?)\)(.*)$/.exec(line);
    const [word, name = '', shape = '[]'] = line.split(' ');
    if (node) graph.nodes.push(parseNode(graph, node));
    else if (word === 'in') graph.inputs.push({ name, elementType: 'float32', shape: parseList(shape).map(parseDim) });
    else if (word === 'out') graph.outputs.push({ name, elementType: 'float32', shape: null });
    else if (word === 'ints' || word === 'int') graph.initializers.set(name, parseIntegers(line, word === 'int'));
    else if (word === 'const') graph.initializers.set(name, parseConstant(line, shape, random));
    else throw new SyntaxError(`expected in, const, ints, int, out or a node, got ${line}`);
  }
  return graph;
}

/** The nodes of a graph, a line each. */
export function textOf(graph: Graph): string {
  return graph.nodes.map((node) => nodeText(graph, node)).join('\n');
}

/** Names int64 constants after what they are, as text does: a pass may have called them otherwise. */
export function nameIntegers(graph: Graph): void {
  const names = new Map<string, string>();
  for (const [name, constant] of [...graph.initializers]) {
    if (constant.elementType !== 'int64' || constant.shape.length > 1) continue;
    const { data } = constantTensor(constant);
    const text = constant.shape.length === 0 ? `${data[0]}n` : `[${data.join(',')}]`;
    names.set(name, text);
    graph.initializers.delete(name);
    graph.initializers.set(text, constant);
  }
  for (const node of graph.nodes) node.inputs = node.inputs.map((name) => names.get(name) ?? name);
}

/** Text as `textOf` gives it: no indentation, no empty lines, nothing but nodes. */
export function nodeLines(text: string): string {
  return linesOf(text)
    .filter((line) => line.includes(' = ') && !/^(const|ints?) /.test(line))
    .join('\n');
}

/** A float32 constant; a number alone is a scalar. */
export function floats(shape: readonly number[], values: readonly number[]): Constant {
  return { elementType: 'float32', shape, bytes: new Uint8Array(Float32Array.from(values).buffer) };
}

function integers(shape: readonly number[], values: readonly string[]): Constant {
  return { elementType: 'int64', shape, bytes: new Uint8Array(BigInt64Array.from(values, BigInt).buffer) };
}

/** A float32 tensor of normally distributed values. */
export function randomTensor(shape: readonly number[], random: Random): Tensor {
  return { dtype: 'float32', shape, data: Float32Array.from({ length: elementCount(shape) }, () => gaussian(random)) };
}

function linesOf(text: string): string[] {
  return text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '');
}

function parseNode(graph: Graph, [, outputs = '', op = '', inputs = '', attributes = '']: RegExpExecArray): Node {
  const named = attributes
    .trim()
    .split(/ (?=\w+=)/)
    .filter((text) => text !== '')
    .map((text): [string, Attribute] => {
      const [key = '', value = ''] = text.split('=');
      return [key, parseAttribute(value)];
    });
  return makeNode(
    op,
    inputs.split(', ').map((input) => parseInput(graph, input)),
    outputs.split(', '),
    Object.fromEntries(named),
  );
}

/** A number stands for a scalar initializer, called by the number itself; so do integers. */
function parseInput(graph: Graph, input: string): string {
  if (input === '-') return '';
  const scalar = /^(-?\d+)n$/.exec(input)?.[1];
  if (scalar !== undefined) graph.initializers.set(input, integers([], [scalar]));
  if (input.startsWith('[')) graph.initializers.set(input, integers([parseList(input).length], parseList(input)));
  if (input !== '' && Number.isFinite(Number(input))) graph.initializers.set(input, floats([], [Number(input)]));
  return input;
}

function parseAttribute(value: string): Attribute {
  if (value.startsWith('[')) return ints(parseList(value).map(Number));
  if (value.startsWith('{')) {
    const values = value.slice(1, -1).split(' ').map(Number);
    return { type: 'tensor', value: floats(values.length === 1 ? [] : [values.length], values) };
  }
  const number = Number(value);
  if (Number.isNaN(number)) return { type: 'string', value: new TextEncoder().encode(value) };
  return value.includes('.') ? float(number) : int(number);
}

function parseConstant(line: string, shapeText: string, random: Random): Constant {
  const shape = parseList(shapeText).map(Number);
  const [, values] = line.split(' = ');
  if (values !== undefined) return floats(shape, values.split(' ').map(Number));
  // Weights over their fan-in, so that deep chains neither grow nor vanish.
  const scale = 1 / Math.sqrt(elementCount(shape.slice(1)));
  return floats(
    shape,
    [...(randomTensor(shape, random).data as Float32Array)].map((value) => value * scale),
  );
}

function parseIntegers(line: string, isScalar: boolean): Constant {
  const [, text = ''] = line.split(' = ');
  const values = text === '' ? [] : text.split(' ');
  return integers(isScalar ? [] : [values.length], values);
}

function parseList(text: string): string[] {
  const inner = text.slice(1, -1);
  return inner === '' ? [] : inner.split(',');
}

function parseDim(text: string): Dim {
  return Number.isNaN(Number(text)) ? text : Number(text);
}

function nodeText(graph: Graph, { op, inputs, outputs, attributes }: Node): string {
  const parts = [...attributes].map(([key, attribute]) => ` ${key}=${attributeText(attribute)}`);
  return `${outputs.join(', ')} = ${op}(${inputs.map((input) => inputText(graph, input)).join(', ')})${parts.join('')}`;
}

function inputText(graph: Graph, name: string): string {
  const constant = graph.initializers.get(name);
  if (constant?.elementType !== 'float32' || constant.shape.length > 0) return name || '-';
  return numberText(constantTensor(constant).data[0] as number);
}

function attributeText(attribute: Attribute): string {
  switch (attribute.type) {
    case 'int':
      return String(attribute.value);
    case 'float':
      return Number.isInteger(attribute.value) ? attribute.value.toFixed(1) : numberText(attribute.value);
    case 'ints':
      return `[${attribute.value.join(',')}]`;
    case 'string':
      return new TextDecoder().decode(attribute.value);
    case 'tensor':
      return `{${[...constantTensor(attribute.value).data].join(' ')}}`;
    default:
      return attribute.type;
  }
}

function numberText(value: number): string {
  return String(Number(value.toPrecision(4)));
}
