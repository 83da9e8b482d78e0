/** argv -> options, by node:util, with errors in Tandem's own words. */
import { type ParseArgsConfig, parseArgs } from 'node:util';
import { messageOf, TandemError } from '../shared/errors.ts';

type Parsed<S extends OptionSpecs> = ReturnType<
  typeof parseArgs<{ args: string[]; options: S; allowPositionals: true }>
>;
type OptionSpecs = NonNullable<ParseArgsConfig['options']>;

/**
 * @param positionals names of the positional arguments, in order; all are required
 * @throws USAGE for an unknown option, a missing value, too many or too few arguments
 */
export function readArguments<const S extends OptionSpecs>(
  argv: readonly string[],
  specs: S,
  positionals: string[],
): Parsed<S> {
  let parsed: Parsed<S>;
  try {
    parsed = parseArgs({ args: [...argv], options: specs, allowPositionals: true });
  } catch (error) {
    throw new TandemError('USAGE', messageOf(error), { cause: error });
  }
  if (parsed.positionals.length !== positionals.length) {
    const expected = positionals.join(' ') || 'no further arguments';
    throw new TandemError('USAGE', `expected ${expected}, got ${parsed.positionals.join(' ') || 'nothing'}`);
  }
  return parsed;
}

/** A whole number of at least `min` given as an option. Throws USAGE. */
export function wholeNumber(value: string | undefined, option: string, min = 0): number | undefined {
  if (value === undefined) return undefined;
  if (/^\d{1,9}$/.test(value) && Number(value) >= min) return Number(value);
  const what = min > 0 ? `a whole number of ${min} or more` : 'a whole number';
  throw new TandemError('USAGE', `expected ${what} for ${option}, got ${value}`);
}
