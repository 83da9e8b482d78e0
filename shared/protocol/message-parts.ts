/** What messages of both directions have in common. */
import { integer, list } from '../parse.ts';
import { PARTS_MAX, RANK_MAX } from './limits.ts';

export const requestId = integer(1, 2 ** 32 - 1);
const size = integer(0, 2 ** 31 - 1);
export const shapes = list(list(size, RANK_MAX), PARTS_MAX);
/** Byte length of each part of the payload, in order. */
export const parts = list(size, PARTS_MAX);
