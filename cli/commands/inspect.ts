/** `tandem inspect MODEL.onnx`: what it is made of, and where it can be cut. */
import {
  type InspectedBoundary,
  type InspectedModel,
  type InspectedTensor,
  type Inspection,
  inspect,
  type ModelRecipe,
} from '../../compiler/index.ts';
import { loadRecipe } from '../../models/index.ts';
import { TandemError } from '../../shared/errors.ts';
import { readArguments, wholeNumber } from '../arguments.ts';
import { DIM_OPTIONS, DIM_USAGE, readDims, readFixed } from '../dims.ts';
import { isModelName } from '../recipes.ts';
import { formatTable, printable, shorten } from '../table.ts';

export const usage = `tandem inspect MODEL.onnx|NAME [--tensors 1..4] ${DIM_USAGE} [--all] [--json]`;

const TENSORS_DEFAULT = 2;
const TENSORS_MAX = 4;
/** Columns of a terminal that nobody has made wider. */
const NAME_WIDTH = 40;
const OPERATORS_SHOWN = 12;

export async function run(argv: readonly string[]): Promise<number> {
  const { values, positionals } = readArguments(
    argv,
    {
      tensors: { type: 'string' },
      ...DIM_OPTIONS,
      all: { type: 'boolean' },
      json: { type: 'boolean' },
    },
    ['MODEL.onnx|NAME'],
  );
  const [name = ''] = positionals;
  const recipe = isModelName(name) ? await loadRecipe(name) : undefined;
  const tensorsMax = wholeNumber(values.tensors, '--tensors') ?? TENSORS_DEFAULT;
  if (tensorsMax < 1 || tensorsMax > TENSORS_MAX) {
    throw new TandemError('USAGE', `expected --tensors from 1 to ${TENSORS_MAX}, got ${tensorsMax}`);
  }
  const dims = readDims(values);
  const { source, file, joined, fixed }: InspectedModel = recipe ?? { source: name, file: name };
  const inspection = await inspect(
    { source, file, joined, fixed: { ...fixed, ...readFixed(values) } },
    {
      tensorsMax,
      dims:
        recipe && Object.keys(dims.sizes).length === 0
          ? { ...dims, shapes: { ...typicalShapes(recipe), ...dims.shapes } }
          : dims,
    },
  );
  const text = values.json ? JSON.stringify(inspection) : describe(inspection, values.all ?? false);
  process.stdout.write(`${text}\n`);
  return 0;
}

/** Shapes of a recipe's own inputs. */
function typicalShapes({ noise, size }: ModelRecipe): Record<string, readonly number[]> {
  return Object.fromEntries(Object.entries(noise(size.typical)).map(([name, { shape }]) => [name, shape]));
}

function describe(inspection: Inspection, all: boolean): string {
  const { boundaries, operators, opsets, remarks } = inspection;
  const shown = all ? boundaries : worthCutting(boundaries);
  const operatorList = Object.entries(operators);
  const more = operatorList.length > OPERATORS_SHOWN ? `, and ${operatorList.length - OPERATORS_SHOWN} more` : '';
  const opsetList = Object.entries(opsets).map(([domain, version]) => `${domain} ${version}`);
  return [
    `${inspection.model}: ${inspection.nodes} nodes, opset ${opsetList.join(', ')}, IR ${inspection.irVersion}`,
    `  ${count(inspection.parameters)} parameters, ${count(inspection.macs)} multiply-accumulates, ${size(inspection.peakBytes)} of activations at once`,
    `  operators: ${operatorList
      .slice(0, OPERATORS_SHOWN)
      .map(([op, times]) => `${op} ${times}`)
      .join(', ')}${more}`,
    ...inspection.inputs.map((tensor) => `  input  ${tensorText(tensor)}`),
    ...inspection.outputs.map((tensor) => `  output ${tensorText(tensor)}`),
    ...remarks.map((remark) => `  note: ${printable(remark)}`),
    '',
    boundaries.length === 0
      ? 'There is nowhere to cut it: more tensors are alive at once than a boundary may carry (--tensors 4 looks further), or it is all\nin the body of an If, Loop or Scan (--fix INPUT=VALUE opens an If).'
      : `${boundaries.length} legal boundaries${all ? '' : `; the ${shown.length} that carry less than every one before them (--all shows the others)`}:`,
    ...(shown.length > 0 ? [boundaryTable(shown)] : []),
  ].join('\n');
}

/** Deeper and not smaller is never better to send. */
function worthCutting(boundaries: readonly InspectedBoundary[]): InspectedBoundary[] {
  let least = Number.POSITIVE_INFINITY;
  return boundaries.filter(({ bytes = Number.POSITIVE_INFINITY }) => {
    if (bytes >= least) return false;
    least = bytes;
    return true;
  });
}

function boundaryTable(boundaries: readonly InspectedBoundary[]): string {
  const rows = boundaries.flatMap(({ tensors, bytes, macsBefore, parametersBefore }) =>
    tensors.map((tensor, i) => [
      i === 0 ? shorten(tensor.name, NAME_WIDTH) : `+ ${shorten(tensor.name, NAME_WIDTH)}`,
      shapeText(tensor),
      i === 0 ? (bytes === undefined ? '?' : size(bytes)) : '',
      i === 0 ? (macsBefore === undefined ? '?' : percent(macsBefore)) : '',
      i === 0 ? percent(parametersBefore) : '',
    ]),
  );
  return formatTable(['cut at', 'shape', 'raw', 'MACs before', 'weights before'], rows);
}

function tensorText(tensor: InspectedTensor): string {
  return printable(`${tensor.name} ${shapeText(tensor)}`);
}

function shapeText({ elementType, shape }: InspectedTensor): string {
  const dims = shape === null ? '?' : shape.map((dim) => dim ?? '?').join(',');
  return `${elementType === 'float32' ? '' : `${elementType} `}[${dims}]`;
}

function percent(share: number): string {
  return `${Math.round(share * 100)} %`;
}

function count(value: number): string {
  if (value >= 1e9) return `${(value / 1e9).toFixed(2)} G`;
  if (value >= 1e6) return `${(value / 1e6).toFixed(1)} M`;
  return value >= 1e4 ? `${(value / 1e3).toFixed(0)} k` : String(value);
}

function size(bytes: number): string {
  return bytes >= 1e6 ? `${(bytes / 1e6).toFixed(2)} MB` : `${(bytes / 1e3).toFixed(1)} kB`;
}
