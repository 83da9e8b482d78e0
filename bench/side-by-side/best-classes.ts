/** The best class of every step, of a model that gives them or of one that gives all scores. */
export interface BestClasses {
  readonly indices: ArrayLike<number>;
  readonly probabilities: ArrayLike<number>;
}

interface Scores {
  readonly dims: readonly number[];
  readonly data: unknown;
}

export function bestClasses(outputs: Readonly<Record<string, Scores>>): BestClasses {
  const { indices, probabilities } = outputs;
  if (indices && probabilities) {
    return {
      indices: Array.from(indices.data as BigInt64Array, Number),
      probabilities: probabilities.data as Float32Array,
    };
  }
  const [scores] = Object.values(outputs);
  const data = scores?.data as Float32Array;
  const classes = scores?.dims.at(-1) as number;
  const best = Array.from({ length: data.length / classes }, (_, step) => {
    let at = step * classes;
    for (let i = at; i < (step + 1) * classes; i++) if ((data[i] as number) > (data[at] as number)) at = i;
    return at;
  });
  return { indices: best.map((at) => at % classes), probabilities: best.map((at) => data[at] as number) };
}
