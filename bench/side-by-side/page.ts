/** A visit, from inside the page: the same for every contender, who only reads what is on a canvas. */
import type { Answer, PageGlobals, Reader } from './visited.ts';

const globals = globalThis as unknown as PageGlobals;
export const { task } = globals;

/** @param open loads what the contender needs before it can read at all; it may begin with the first line already */
export async function visit(open: (first: Promise<HTMLCanvasElement>) => Promise<Reader>): Promise<void> {
  try {
    const first = photograph(0);
    const reader = await open(first);
    const answers: Answer[] = [];
    const read = async (line: number, canvas: HTMLCanvasElement, isSteady: boolean, beganMs = performance.now()) => {
      const { text, k } = await reader.read(canvas);
      answers.push({ line: line % task.lines, text, k, beganMs, endedMs: performance.now(), isSteady });
    };
    // Whoever opens the page has the line in hand, and waits from the navigation on.
    await read(0, await first, false, 0);
    await globals.mark('first');
    let line = 1;
    while (performance.now() < task.visitMs) {
      const canvas = await photograph(line);
      const due = (answers.at(-1)?.beganMs ?? 0) + task.everyMs - performance.now();
      if (due > 0) await new Promise((resolve) => setTimeout(resolve, due));
      await read(line++, canvas, false);
    }
    let settledMs: number | null = null;
    if (task.steady > 0) {
      await reader.settled();
      settledMs = performance.now();
      await globals.mark('settled');
      for (let i = task.steadyFrom; i < task.steadyFrom + task.steady; i++) await read(i, await photograph(i), true);
    }
    await globals.mark('end');
    globals.finish({ answers, settledMs, segmentsAtMs: reader.segmentsAtMs });
  } catch (error) {
    globals.fail(error);
  }
}

async function photograph(line: number): Promise<HTMLCanvasElement> {
  const response = await fetch(`${task.camera}/${line % task.lines}`);
  const bitmap = await createImageBitmap(await response.blob());
  const canvas = document.createElement('canvas');
  canvas.width = bitmap.width;
  canvas.height = bitmap.height;
  canvas.getContext('2d', { willReadFrequently: true })?.drawImage(bitmap, 0, 0);
  bitmap.close();
  return canvas;
}
