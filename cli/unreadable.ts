/** What becomes of a file or folder that the command line names and that cannot be read. */
import { asTandemError } from '../shared/errors.ts';

/** For `catch`: throws NOT_FOUND. */
export function unreadable(path: string): (error: unknown) => never {
  return (error) => {
    throw asTandemError(error, 'NOT_FOUND', `cannot read ${path}`);
  };
}
