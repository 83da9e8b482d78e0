/** Nothing on the device: the line as JPEG, and text back. */
import { visit } from './page.ts';

const QUALITY = 0.85;

visit(async () => ({
  async read(canvas) {
    const body = await new Promise<Blob | null>((resolve) => canvas.toBlob(resolve, 'image/jpeg', QUALITY));
    const response = await fetch('read', { method: 'POST', body });
    const { text } = (await response.json()) as { text: string };
    return { text, k: null };
  },
  settled: async () => {},
  segmentsAtMs: [],
}));
