/**
 * CTC greedy decoding: best class per step, repeats merged, blanks dropped (Graves et al., ICML 2006). Pure, and used
 * unchanged by the browser, the compiler and the tests.
 */

export interface TextLine {
  readonly text: string;
  /** Mean probability of the characters kept, in [0, 1]; 0 for an empty line. */
  readonly confidence: number;
}

/** Class 0 is CTC's blank. */
const BLANK = 0;

/**
 * The characters by class. PP-OCR's list has one character a line and leaves out the blank before it and the space
 * behind it.
 */
export function parseCharset(list: string): string[] {
  const characters = list.replace(/\r/g, '').replace(/\n$/, '').split('\n');
  return ['', ...characters, ' '];
}

/**
 * @param indices best class per step, length T
 * @param probabilities its probability, length T
 * @param charset characters by class, from `parseCharset`
 * @throws RangeError for a class that the charset does not have
 */
export function decodeCtc(
  indices: ArrayLike<number>,
  probabilities: ArrayLike<number>,
  charset: readonly string[],
): TextLine {
  let text = '';
  let sum = 0;
  let kept = 0;
  let previous = BLANK;
  for (let t = 0; t < indices.length; t++) {
    const index = indices[t] as number;
    if (index !== BLANK && index !== previous) {
      const character = charset[index];
      if (character === undefined) throw new RangeError(`class ${index} is outside a charset of ${charset.length}`);
      text += character;
      sum += probabilities[t] as number;
      kept++;
    }
    previous = index;
  }
  const line = text.trim();
  return { text: line, confidence: line === '' ? 0 : sum / kept };
}
