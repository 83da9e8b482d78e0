/**
 * Text lines as a phone would photograph them, drawn from a seed: unlimited labelled data. Calibration and test lines
 * share neither a word nor a font, and every line holds at least one word, so no text is in both.
 */
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { type Canvas, createCanvas, GlobalFonts, loadImage } from '@napi-rs/canvas';
import type { Picture } from '../../shared/preprocess/resize.ts';
import { gaussian, pick, type Random, randomInt, seededRandom } from '../../shared/random.ts';

export interface LabelledLine {
  readonly text: string;
  readonly picture: Picture;
}

export type Split = 'calibration' | 'test';

const WORDS =
  `about above across active after again agreed airport almost already always amount animal annual answer apple april
  article august autumn avenue baker balance bakery banana basket battery beach before behind below berlin better between
  bicycle birthday blanket board bottle bottom bread breakfast bridge bright brother budget butter button cabinet camera
  candle carbon careful castle center central chair change cheese chicken choice church circle city classic clean client
  clock clothes coffee college company concert contact copper corner cotton country course cousin credit customer daily
  dance daughter december deliver dentist desert design detail dinner doctor dollar double dragon driver during eagle
  early earth easy editor eight electric eleven energy engine english enjoy evening every exact except express fabric
  factory family famous farmer father february festival figure final finger finish fish flight flower folder forest forty
  forward france frame free fresh friday friend fruit future garden general gentle german ginger glass global golden
  grand grape green grocery ground group growth guard guest guitar hammer handle happy harbor health heart heavy hello
  history holiday honey hospital hotel house hundred ice idea image india inside invoice iron island jacket january job
  journey juice july jungle june junior just kettle keyboard kitchen knife ladder lake language large laser later laundry
  leader leather left lemon letter level library light linen liquid listen little local london lucky lunch machine magic
  mail manager manual march market master matter meadow medium melon member memory menu metal middle million minute mirror
  mobile modern monday money month morning mother motor mountain museum music narrow nature needle network never nickel
  night nine noble normal north notice november number object ocean october office olive onion online open orange orchard
  order organic other outside oxygen packet paint palace paper paris parking partner party payment peach pencil people
  pepper perfect person phone photo piano picture pilot planet plastic plate pocket point police port postal potato power
  premium present price print private process product profile project public purple quality quarter queen quick quiet
  radio railway rainbow random rapid receipt record regular remote rental repair report result return ribbon rice right
  river road rocket roman room round royal salad sample saturday school science screen season second secret section
  senior series service seven shadow shelf short shower silver simple sister sixty sleep small smart social soft solar
  south special spoon spring square stable station steel stone storm street strong student studio subject sugar summer
  sunday supply surface sweet system table tailor target taxi teacher temple tennis thank theatre three thunder thursday
  ticket tiger timber time today tomato total tower town track trade train travel treat triangle trophy tuesday tunnel
  twelve twenty under union unique unit upper urban vacation valley value vanilla vegetable village violin visit volume
  wagon wallet walnut warm water weather wednesday week west wheat wheel white width window winter wonder wooden world
  writer yellow yesterday young zebra zero zone`.split(/\s+/);

const FONTS: Record<Split, readonly string[]> = {
  calibration: ['roboto', 'lora', 'inconsolata', 'oswald'],
  test: ['open-sans', 'merriweather', 'source-code-pro', 'nunito', 'playfair-display', 'roboto-slab'],
};

/** Every second word belongs to the calibration set, the others to the test set. */
function wordsOf(split: Split): readonly string[] {
  return WORDS.filter((_, i) => (i % 2 === 0) === (split === 'calibration'));
}

/** `count` lines of a split. The same seed gives the same lines; other counts give a prefix. */
export async function* textLines(split: Split, count: number, seed: number): AsyncGenerator<LabelledLine> {
  registerFonts(split);
  const words = wordsOf(split);
  for (let i = 0; i < count; i++) {
    // A stream a line, so that a line does not depend on how much randomness the ones before it took.
    const random = seededRandom(seed * 1_000_003 + i * 2 + (split === 'test' ? 1 : 0));
    const text = randomText(random, words);
    yield { text, picture: await photograph(drawLine(random, text, split), random) };
  }
}

function randomText(random: Random, words: readonly string[]): string {
  const tokens = Array.from({ length: randomInt(random, 0, 4) }, () =>
    random() < 0.65 ? randomWord(random, words) : randomFigure(random),
  );
  tokens.splice(randomInt(random, 0, tokens.length), 0, randomWord(random, words));
  return tokens.join(' ');
}

function randomWord(random: Random, words: readonly string[]): string {
  const word = pick(random, words);
  const style = random();
  const cased = style < 0.45 ? word : style < 0.85 ? word.charAt(0).toUpperCase() + word.slice(1) : word.toUpperCase();
  return random() < 0.12 ? cased + pick(random, [',', '.', ':', '!', '?']) : cased;
}

function randomFigure(random: Random): string {
  const n = (max: number) => randomInt(random, 0, max);
  const pad = (value: number) => String(value).padStart(2, '0');
  switch (n(6)) {
    case 0:
      return `$${n(400)}.${pad(n(99))}`;
    case 1:
      return `${pad(1 + n(27))}/${pad(1 + n(11))}/20${pad(n(99))}`;
    case 2:
      return `${pad(n(23))}:${pad(n(59))}`;
    case 3:
      return `${n(100)}%`;
    case 4:
      return `No.${n(9999)}`;
    case 5:
      return `${pick(random, ['A', 'B', 'C', 'K', 'X'])}-${n(9999)}`;
    default:
      return String(n(99_999));
  }
}

/** Draws the text on a tinted, unevenly lit ground, slightly rotated. */
function drawLine(random: Random, text: string, split: Split): Canvas {
  const sizePx = randomInt(random, 18, 56);
  const font = `${random() < 0.3 ? 700 : 400} ${sizePx}px "${pick(random, FONTS[split])}"`;
  const measure = createCanvas(1, 1).getContext('2d');
  measure.font = font;
  const marginPx = sizePx * (0.15 + random() * 0.35);
  const width = Math.ceil(measure.measureText(text).width + 2 * marginPx);
  const height = Math.ceil(sizePx * (1.25 + random() * 0.35));
  const canvas = createCanvas(width, height);
  const context = canvas.getContext('2d');
  const isDark = random() < 0.15;
  const paper = isDark ? randomInt(random, 10, 80) : randomInt(random, 170, 255);
  const ink = isDark ? randomInt(random, 170, 255) : randomInt(random, 0, 90);
  const tint = () => randomInt(random, -14, 14);
  const colour = (level: number) => `rgb(${level + tint()}, ${level + tint()}, ${level + tint()})`;
  const light = context.createLinearGradient(0, 0, width, height * (random() - 0.5) * 4);
  light.addColorStop(0, colour(paper));
  light.addColorStop(1, colour(paper + randomInt(random, -30, 10)));
  context.fillStyle = light;
  context.fillRect(0, 0, width, height);
  const blurPx = random() < 0.5 ? 0 : random() * sizePx * 0.035;
  if (blurPx > 0) context.filter = `blur(${blurPx.toFixed(2)}px)`;
  context.translate(width / 2, height / 2);
  context.rotate((gaussian(random) * 0.35 * Math.PI) / 180);
  context.font = font;
  context.textAlign = 'center';
  context.textBaseline = 'middle';
  context.fillStyle = colour(ink);
  context.fillText(text, 0, 0);
  return canvas;
}

/** Sensor noise, then a JPEG of random quality, as a camera would store it. */
async function photograph(canvas: Canvas, random: Random): Promise<Picture> {
  const { width, height } = canvas;
  const context = canvas.getContext('2d');
  const image = context.getImageData(0, 0, width, height);
  const deviation = random() * 9;
  for (let i = 0; i < image.data.length; i++) {
    if (i % 4 !== 3) image.data[i] = (image.data[i] as number) + gaussian(random) * deviation;
  }
  context.resetTransform();
  context.putImageData(image, 0, 0);
  const photo = await loadImage(await canvas.encode('jpeg', randomInt(random, 50, 95)));
  context.filter = 'none';
  context.drawImage(photo, 0, 0);
  return { width, height, data: context.getImageData(0, 0, width, height).data };
}

/** Skia's font collection is process-wide; registering a file twice does no harm. */
function registerFonts(split: Split): void {
  const { resolve } = createRequire(import.meta.url);
  for (const font of FONTS[split]) {
    const folder = join(dirname(resolve(`@fontsource/${font}/package.json`)), 'files');
    for (const weight of [400, 700]) {
      GlobalFonts.registerFromPath(join(folder, `${font}-latin-${weight}-normal.woff2`), font);
    }
  }
}
