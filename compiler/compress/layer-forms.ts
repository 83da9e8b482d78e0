/** The thinner forms that a layer can take, what they cost and what weights they have. */
import { elementCount } from '../../shared/tensor.ts';
import { intsAttribute } from '../graph/graph.ts';
import { EIGEN_MAX, type Eigen } from '../linalg/eigen.ts';
import { inputColumns } from './input-rows.ts';
import { hasKernel, spatialFactors, tuckerFactors } from './kernel-factors.ts';
import { type Layer, rowCount } from './layers.ts';
import { type Factors, principalFactors } from './low-rank.ts';

export type Form =
  | { readonly type: 'principal'; readonly rank: number }
  | { readonly type: 'spatial'; readonly rank: number }
  | { readonly type: 'tucker'; readonly inner: number; readonly outer: number };

/** Multiply-accumulates for each output position: growing with the layer's inputs, with its outputs, with neither. */
export interface FormCost {
  readonly inputs: number;
  readonly outputs: number;
  readonly core: number;
}

/** Shares of both numbers of channels, for Tucker-2. */
const TUCKER_SHARES = [3 / 4, 1 / 2, 3 / 8, 1 / 4];

/** Those that cost less than the layer. Ranks are multiples of a step. */
export function formsOf(layer: Layer, step: number): Form[] {
  const whole = inputColumns(layer) * rowCount(layer);
  return [...principal(layer, step), ...(hasKernel(layer) ? kernelForms(layer, step) : [])].filter(
    (form) => totalCost(formCost(layer, form)) < whole,
  );
}

export function totalCost({ inputs, outputs, core }: FormCost): number {
  return inputs + outputs + core;
}

export function formCost(layer: Layer, form: Form): FormCost {
  const { shape, node } = layer;
  const [columns, outputs] = [inputColumns(layer), rowCount(layer)];
  const strides = intsAttribute(node, 'strides') ?? [1, 1];
  switch (form.type) {
    case 'principal':
      return { inputs: form.rank * columns, outputs: outputs * form.rank, core: 0 };
    case 'spatial': {
      // The first stage gives every column, of which the second skips some.
      const [, inputs = 1, height = 1, width = 1] = shape;
      return {
        inputs: form.rank * inputs * height * (strides[1] ?? 1),
        outputs: outputs * form.rank * width,
        core: 0,
      };
    }
    case 'tucker': {
      const { inner, outer } = form;
      const core = outer * inner * elementCount(shape.slice(2));
      return { inputs: inner * (shape[1] ?? 1) * elementCount(strides), outputs: outputs * outer, core };
    }
  }
}

/** @param eigen of the outputs' covariance */
export function factorsOf(layer: Layer, rows: Float32Array, eigen: Eigen, form: Form): Factors {
  const [columns, outputs] = [inputColumns(layer), rowCount(layer)];
  switch (form.type) {
    case 'principal': {
      const kernel = layer.kind === 'conv' ? layer.shape.slice(1) : [columns];
      return principalFactors(rows, eigen, Math.min(form.rank, outputs), kernel);
    }
    case 'spatial':
      return spatialFactors(layer, rows, Math.min(form.rank, (layer.shape[1] ?? 1) * (layer.shape[2] ?? 1)));
    case 'tucker':
      return tuckerFactors(layer, rows, eigen, [
        Math.min(form.inner, layer.shape[1] ?? 1),
        Math.min(form.outer, outputs),
      ]);
  }
}

function principal(layer: Layer, step: number): Form[] {
  return multiples(step, Math.min(rowCount(layer), inputColumns(layer))).map((rank) => ({ type: 'principal', rank }));
}

function kernelForms({ shape }: Layer, step: number): Form[] {
  const [outputs = 1, inputs = 1, height = 1, width = 1] = shape;
  const tall = inputs * height;
  const isParted = height > 1 && width > 1 && tall <= EIGEN_MAX;
  const spatial = isParted ? multiples(step, Math.min(tall, outputs * width)) : [];
  const rounded = (count: number, share: number) => Math.max(step, Math.round((count * share) / step) * step);
  const tucker = TUCKER_SHARES.map((share): Form => {
    return { type: 'tucker', inner: rounded(inputs, share), outer: rounded(outputs, share) };
  });
  return [
    ...spatial.map((rank): Form => ({ type: 'spatial', rank })),
    ...(inputs > step && outputs > step && inputs <= EIGEN_MAX ? tucker : []),
  ];
}

function multiples(step: number, below: number): number[] {
  return Array.from({ length: Math.max(0, Math.ceil(below / step) - 1) }, (_, i) => (i + 1) * step);
}
