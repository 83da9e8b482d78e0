/** Where the line's picture comes from: typed text drawn on a canvas, or the marked part of a photo. */

/** Larger parts of a photo are shrunk: the model looks at 48 rows. */
const SIDE_MAX_PX = 2048;

/** An empty line is a strip of paper still. */
const MIN_WIDTH_PX = 400;

const ARROWS: Record<string, readonly [number, number]> = {
  ArrowLeft: [-1, 0],
  ArrowRight: [1, 0],
  ArrowUp: [0, -1],
  ArrowDown: [0, 1],
};
const SIDES = ['left', 'top', 'width', 'height'] as const;
/** Of the photo's width or height. */
const KEY_STEP = 0.02;

/** Draws a line of text as on a slightly tinted sheet of paper. */
export function drawText(canvas: HTMLCanvasElement, text: string): void {
  const sizePx = 40;
  const font = `${sizePx}px Georgia, 'Times New Roman', serif`;
  const context = context2d(canvas);
  context.font = font;
  canvas.width = Math.max(MIN_WIDTH_PX, Math.ceil(context.measureText(text).width) + sizePx);
  canvas.height = Math.round(sizePx * 1.5);
  context.fillStyle = '#f4f1e8';
  context.fillRect(0, 0, canvas.width, canvas.height);
  // Resizing a canvas resets its context.
  context.font = font;
  context.fillStyle = '#1c2733';
  context.textBaseline = 'middle';
  context.fillText(text, sizePx / 2, canvas.height / 2);
}

/** The part of a photo inside `box`. Of the file: decoding what a page shows would let it stand still. */
export async function partOf(file: File, box: Box): Promise<HTMLCanvasElement> {
  const photo = await createImageBitmap(file);
  const scale = Math.min(1, SIDE_MAX_PX / Math.max(box.width * photo.width, box.height * photo.height));
  const [width, height] = [scale * photo.width, scale * photo.height];
  const canvas = document.createElement('canvas');
  canvas.width = Math.max(1, Math.round(box.width * width));
  canvas.height = Math.max(1, Math.round(box.height * height));
  // All of it: asked for a part of what its EXIF turns, Chromium and WebKit take another one.
  context2d(canvas).drawImage(photo, -box.left * width, -box.top * height, width, height);
  photo.close();
  return canvas;
}

/** Shares of a picture's width and height, 0 to 1. */
export interface Box {
  left: number;
  top: number;
  width: number;
  height: number;
}

/** All of a picture that is a line already, else a band across its middle. */
export function initialBox(image: HTMLImageElement): Box {
  const isLine = image.naturalWidth / image.naturalHeight > 2.5;
  return isLine ? { left: 0, top: 0, width: 1, height: 1 } : { left: 0.05, top: 0.42, width: 0.9, height: 0.16 };
}

/** Lets a finger or arrow keys move the box, and resize it: by its handle, or with Shift. */
export function makeDraggable(frame: HTMLElement, element: HTMLElement, handle: HTMLElement, box: Box): void {
  const show = () => {
    for (const side of SIDES) element.style[side] = `${box[side] * 100}%`;
    element.ariaValueNow = (box.left * 100).toFixed(0);
    element.ariaValueText = SIDES.map((side) => `${side} ${(box[side] * 100).toFixed(0)} %`).join(', ');
  };
  const change = (start: Box, dx: number, dy: number, isResize: boolean) => {
    if (isResize) {
      box.width = clamp(start.width + dx, 0.2, 1 - box.left);
      box.height = clamp(start.height + dy, 0.08, 1 - box.top);
    } else {
      box.left = clamp(start.left + dx, 0, 1 - box.width);
      box.top = clamp(start.top + dy, 0, 1 - box.height);
    }
    show();
  };
  element.onkeydown = (event) => {
    const [x, y] = ARROWS[event.key] ?? [];
    if (x === undefined || y === undefined) return;
    event.preventDefault();
    change(box, x * KEY_STEP, y * KEY_STEP, event.shiftKey);
  };
  element.onpointerdown = (event) => {
    event.preventDefault();
    const isResize = event.target === handle;
    const start = { ...box, x: event.clientX, y: event.clientY };
    element.setPointerCapture(event.pointerId);
    element.onpointermove = (move) => {
      const dx = (move.clientX - start.x) / frame.clientWidth;
      const dy = (move.clientY - start.y) / frame.clientHeight;
      change(start, dx, dy, isResize);
    };
    element.onpointerup = () => {
      element.onpointermove = null;
    };
  };
  show();
}

function clamp(value: number, min: number, max: number): number {
  return Math.min(max, Math.max(min, value));
}

function context2d(canvas: HTMLCanvasElement): CanvasRenderingContext2D {
  const context = canvas.getContext('2d', { willReadFrequently: true });
  if (!context) throw new Error('this browser gives no 2D canvas context');
  return context;
}
