/** How long work tells where it is. The command line draws it, tests ignore it. */

export interface ProgressEvent {
  /** What is being done, in a few words. */
  readonly stage: string;
  readonly done: number;
  readonly total: number;
}

export type Progress = (event: ProgressEvent) => void;
