/**
 * What is written in the pictures that models of text are tried on, and in which fonts: drawn from a seed, so there is as
 * much as is wanted, with its truth. Calibration and test share neither a word nor a font.
 */
import { pick, type Random, randomInt } from '../shared/random.ts';

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

/** Packages of @fontsource, by split. */
export const FONTS: Record<Split, readonly string[]> = {
  calibration: ['roboto', 'lora', 'inconsolata', 'oswald'],
  test: ['open-sans', 'merriweather', 'source-code-pro', 'nunito', 'playfair-display', 'roboto-slab'],
};

/** One to five words and figures with at least one word, so that no text is in both splits. */
export function randomText(random: Random, split: Split): string {
  const words = wordsOf(split);
  const tokens = Array.from({ length: randomInt(random, 0, 4) }, () =>
    random() < 0.65 ? randomWord(random, words) : randomFigure(random),
  );
  tokens.splice(randomInt(random, 0, tokens.length), 0, randomWord(random, words));
  return tokens.join(' ');
}

/** Every second word belongs to the calibration set, the others to the test set. */
function wordsOf(split: Split): readonly string[] {
  return WORDS.filter((_, i) => (i % 2 === 0) === (split === 'calibration'));
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
