/** What messages of both directions have in common. */
import * as v from 'valibot';
import { integer } from '../parse.ts';
import { PARTS_MAX, RANK_MAX } from './limits.ts';

export const requestId = integer(1, 2 ** 32 - 1);
export const shapes = v.pipe(
  v.array(v.pipe(v.array(integer(0, 2 ** 31 - 1)), v.maxLength(RANK_MAX))),
  v.maxLength(PARTS_MAX),
);
/** Byte length of each part of the payload, in order. */
export const parts = v.pipe(v.array(integer(0, 2 ** 31 - 1)), v.maxLength(PARTS_MAX));
