/** Progress on stderr: one line that is redrawn on a terminal, a line now and then elsewhere. stdout stays for results. */
import type { Progress } from '../compiler/index.ts';

/** Nothing is redrawn more often than this. */
const REDRAW_MS = 100;
/** Where nothing is redrawn, how far a stage is is said once in so long. */
const LINE_MS = 30_000;

export function stderrProgress(): Progress {
  const isTerminal = process.stderr.isTTY === true;
  let stage = '';
  let stageStartMs = 0;
  let drawnAtMs = 0;
  return (event) => {
    const now = performance.now();
    if (event.stage !== stage) {
      if (isTerminal && stage !== '') process.stderr.write('\n');
      stage = event.stage;
      stageStartMs = now;
      drawnAtMs = isTerminal ? 0 : now;
      if (!isTerminal) process.stderr.write(`${stage} ...\n`);
    }
    const isLast = event.done >= event.total;
    if (now - drawnAtMs < (isTerminal ? REDRAW_MS : LINE_MS) && !(isTerminal && isLast)) return;
    drawnAtMs = now;
    if (!isTerminal) {
      const left = remaining(event, now - stageStartMs);
      process.stderr.write(`${stage}: ${event.done} of ${event.total}, ${left}\n`);
      return;
    }
    process.stderr.write(`\r\x1b[K${stage}  ${bar(event.done / event.total)}  ${remaining(event, now - stageStartMs)}`);
    if (isLast) {
      process.stderr.write('\n');
      stage = '';
    }
  };
}

function bar(share: number): string {
  const width = 24;
  const filled = Math.round(Math.min(1, share) * width);
  return `${'█'.repeat(filled)}${'░'.repeat(width - filled)} ${Math.round(share * 100)} %`;
}

/** What is left, from the speed so far; nothing before it can be told. */
function remaining({ done, total }: { done: number; total: number }, elapsedMs: number): string {
  if (done >= total) return `${(elapsedMs / 1000).toFixed(1)} s`;
  if (done === 0 || elapsedMs < 1000) return '';
  return `about ${Math.ceil(((elapsedMs / done) * (total - done)) / 1000)} s left`;
}
