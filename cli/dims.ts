/** `--dim NAME=N`, `--shape INPUT=N,N` and `--fix INPUT=VALUE`: what a model's file leaves open. */
import type { Dims } from '../compiler/index.ts';
import { TandemError } from '../shared/errors.ts';

/** For `readArguments`. */
export const DIM_OPTIONS = {
  dim: { type: 'string', multiple: true },
  shape: { type: 'string', multiple: true },
  fix: { type: 'string', multiple: true },
} as const;

export const DIM_USAGE = '[--dim NAME=N]... [--shape INPUT=N,N]... [--fix INPUT=VALUE]...';

/** Throws USAGE. */
export function readDims({ dim = [], shape = [] }: { dim?: string[] | undefined; shape?: string[] | undefined }): Dims {
  const sizes = dim.map((option): [string, number] => {
    const match = /^(.+)=([1-9]\d{0,8})$/.exec(option);
    if (!match?.[1]) throw new TandemError('USAGE', `expected --dim NAME=N, got ${option}`);
    return [match[1], Number(match[2])];
  });
  const shapes = shape.map((option): [string, number[]] => {
    const match = /^(.+)=([1-9]\d{0,8}(?:,[1-9]\d{0,8})*)$/.exec(option);
    if (!match?.[1] || !match[2]) throw new TandemError('USAGE', `expected --shape INPUT=N,N, got ${option}`);
    return [match[1], match[2].split(',').map(Number)];
  });
  return { sizes: Object.fromEntries(sizes), shapes: Object.fromEntries(shapes) };
}

/** Inputs that always have one value. Throws USAGE. */
export function readFixed({ fix = [] }: { fix?: string[] | undefined }): Record<string, number> {
  return Object.fromEntries(
    fix.map((option) => {
      const match = /^(.+)=(-?\d+(?:\.\d+)?)$/.exec(option);
      if (!match?.[1]) throw new TandemError('USAGE', `expected --fix INPUT=VALUE, got ${option}`);
      return [match[1], Number(match[2])];
    }),
  );
}
