/** `tandem types DIR`: what a bundle's model takes and gives, as TypeScript for the app that uses it. */

import { folderSource } from '../../runtimes/bundle-folder.ts';
import { readPlan } from '../../shared/bundle.ts';
import { boundaryAt, depthOf, type Plan, type TensorSpec } from '../../shared/plan.ts';
import type { DType } from '../../shared/tensor.ts';
import { readArguments } from '../arguments.ts';

export const usage = 'tandem types DIR > model.ts';

const ARRAYS: Readonly<Record<DType, string>> = {
  ...{ float32: 'Float32Array', float64: 'Float64Array', float16: 'Uint16Array', bool: 'Uint8Array' },
  ...{ int8: 'Int8Array', uint8: 'Uint8Array', int16: 'Int16Array', uint16: 'Uint16Array' },
  ...{ int32: 'Int32Array', uint32: 'Uint32Array', int64: 'BigInt64Array', uint64: 'BigUint64Array' },
};

export async function run(argv: readonly string[]): Promise<number> {
  const { positionals } = readArguments(argv, {}, ['DIR']);
  process.stdout.write(typesOf(await readPlan(folderSource(positionals[0] as string))));
  return 0;
}

/** In camel case, and none that TypeScript or this file has already. */
function typeNameOf(model: string): string {
  const name = model.replace(/(?:^|-+)([a-z0-9]?)/g, (_, letter: string) => letter.toUpperCase());
  return /^\d|^(Tensor|Picture|Typed)$/.test(name) ? `Model${name}` : name;
}

function typesOf(plan: Plan): string {
  const name = typeNameOf(plan.name);
  const [inputs, outputs] = [boundaryAt(plan, 0), boundaryAt(plan, depthOf(plan))].map(({ tensors }) => tensors);
  const isDrawn = plan.preprocess !== null;
  return [
    `/** What ${plan.name} takes and gives, of plan ${plan.id.slice(0, 12)}: written by \`tandem types\`. */`,
    `import type { ${isDrawn ? 'Picture, ' : ''}Tensor } from 'tandem/client';`,
    '',
    'interface Typed<D extends Tensor["dtype"], A extends Tensor["data"]> extends Tensor {',
    '  readonly dtype: D;',
    '  readonly data: A;',
    '}',
    '',
    `/** \`connect<${name}>({ model: ${JSON.stringify(plan.name)}, ... })\` */`,
    `export type ${name} = {`,
    `  readonly input: ${isDrawn ? 'Picture | ' : ''}${objectOf(inputs ?? [])};`,
    `  readonly outputs: ${objectOf(outputs ?? [])};`,
    '};',
    '',
  ].join('\n');
}

function objectOf(specs: readonly TensorSpec[]): string {
  const members = specs.map(({ name, dtype, shape }) => {
    return `    /** [${shape.join(', ')}] */\n    readonly ${JSON.stringify(name)}: Typed<'${dtype}', ${ARRAYS[dtype]}>;\n`;
  });
  return `{\n${members.join('')}  }`;
}
