/**
 * The declared steps from a picture to the input tensor, the second half: order, scale and layout, on whichever side holds the
 * picture then.
 */
import type { PictureSteps } from '../plan.ts';
import { float32, type Tensor } from '../tensor.ts';
import { pictureShape } from './picture.ts';
import type { Picture } from './resize.ts';

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
