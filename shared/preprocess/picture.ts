/**
 * The declared steps from a picture to the input tensor, the first half: the geometry, which ends where boundary 0 may travel, as a
 * picture at the model's resolution. picture-tensor.ts is the second.
 */
import type { PictureSteps, PlanSize } from '../plan.ts';
import { type Picture, resizePicture } from './resize.ts';

/** What widths there are: a part of the plan's size variable. */
type SizeSteps = Pick<PlanSize, 'step' | 'min' | 'max'>;

/** Width that keeps the picture's proportions at `height`, rounded to the nearest step and kept in range. */
export function fittedWidth(picture: { width: number; height: number }, height: number, size: SizeSteps): number {
  const width = (picture.width / picture.height) * height;
  const stepped = Math.round(width / size.step) * size.step;
  return Math.min(size.max, Math.max(size.min, stepped));
}

/** The geometric step: the picture at the model's resolution. */
export function fitPicture(picture: Picture, steps: PictureSteps, size: SizeSteps): Picture {
  return resizePicture(picture, fittedWidth(picture, steps.height, size), steps.height);
}

/** Of the input tensor: [1, 3, height, width]. */
export function pictureShape({ width, height }: Pick<Picture, 'width' | 'height'>): number[] {
  return [1, 3, height, width];
}
