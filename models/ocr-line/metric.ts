/** How text lines are scored: character error rate and exact-match rate. */

export interface TextScore {
  /** Character error rate: edit distance over characters of the truth, summed over all lines. */
  readonly cer: number;
  /** Share of lines read without any error, in [0, 1]. */
  readonly exactMatch: number;
}

/** Scores predictions against truths, line by line. */
export function scoreText(pairs: readonly { readonly truth: string; readonly predicted: string }[]): TextScore {
  let errors = 0;
  let characters = 0;
  let exact = 0;
  for (const { truth, predicted } of pairs) {
    errors += editDistance(truth, predicted);
    characters += truth.length;
    if (truth === predicted) exact++;
  }
  return { cer: errors / Math.max(1, characters), exactMatch: exact / Math.max(1, pairs.length) };
}

/** Levenshtein's distance: insertions, deletions and substitutions that turn `a` into `b`. */
export function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const substitution = (row[j - 1] as number) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min((row[j] as number) + 1, (next[j - 1] as number) + 1, substitution));
    }
    row = next;
  }
  return row[b.length] as number;
}
