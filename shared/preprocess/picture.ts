/**
 * The declared steps from a picture to the input tensor, in two halves. `fitPicture` does the geometry and ends where
 * boundary 0 may travel: a picture at the model's resolution. `pictureTensor` does the rest (order, scale, layout) and
 * runs on whichever side holds the picture then.
 */
import type { PictureSteps, PlanSize } from '../plan.ts';
import { float32, type Tensor } from '../tensor.ts';
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

/** The input tensor, float32 of `pictureShape`, of a picture that is at the model's resolution already. */
export function pictureTensor(picture: Picture, steps: PictureSteps): Tensor {
  const { data } = picture;
  const plane = picture.width * picture.height;
  const result = new Float32Array(3 * plane);
  for (let c = 0; c < 3; c++) {
    const source = steps.channels === 'bgr' ? 2 - c : c;
    const factor = 1 / (255 * (steps.std[c] as number));
    const offset = -(steps.mean[c] as number) / (steps.std[c] as number);
    for (let i = 0; i < plane; i++) {
      result[c * plane + i] = (data[i * 4 + source] as number) * factor + offset;
    }
  }
  return float32(pictureShape(picture), result);
}
