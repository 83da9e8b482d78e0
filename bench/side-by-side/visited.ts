/** What a page of the comparison is told before it loads, and what it tells afterwards. */
import type { PictureSteps, PlanSize } from '../../shared/plan.ts';

/** Moments at which the link's bytes are counted. */
export type Mark = 'first' | 'settled' | 'end';

export interface Task {
  /** Where line i is to be had, as `${camera}/i`: not over the link, as a camera's picture is not. */
  readonly camera: string;
  /** Of different lines; after the last comes the first. */
  readonly lines: number;
  /** Until this time after the navigation a line is read every `everyMs`; 0 for the first line alone. */
  readonly visitMs: number;
  readonly everyMs: number;
  /** Which are read one after another once all has come that was to come: from this line on so many. */
  readonly steadyFrom: number;
  readonly steady: number;
  readonly preprocess: PictureSteps;
  readonly size: Pick<PlanSize, 'step' | 'min' | 'max'>;
}

export interface Answer {
  readonly line: number;
  readonly text: string;
  /** Since the navigation, in milliseconds. */
  readonly beganMs: number;
  readonly endedMs: number;
  /** Segments that the device ran, where there are segments. */
  readonly k: number | null;
  readonly isSteady: boolean;
}

export interface Report {
  readonly answers: readonly Answer[];
  /** Since the navigation; null for a visit of one line. */
  readonly settledMs: number | null;
  readonly segmentsAtMs: readonly number[];
}

/** What a contender is to its page. */
export interface Reader {
  read(canvas: HTMLCanvasElement): Promise<{ readonly text: string; readonly k: number | null }>;
  /** Resolves when nothing more comes that would make it faster. */
  settled(): Promise<void>;
  /** When segments became ready, where there are segments. */
  readonly segmentsAtMs: readonly number[];
}

export interface PageGlobals {
  task: Task;
  mark(mark: Mark): Promise<void>;
  finish(report: Report): void;
  fail(error: unknown): void;
}
