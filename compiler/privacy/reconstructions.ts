/** Which reconstructions are kept to be looked at: some samples, and of every boundary its finest and coarsest tier and the strongest noise. */
import type { PictureCodec } from '../../shared/codec/picture.ts';
import { boundaryAt, type Plan } from '../../shared/plan.ts';
import { finestTier } from './defences.ts';
import { type Plane, planePicture } from './plane.ts';
import type { Defence } from './sender.ts';

/** What was there, where `defence` is null, or what an attack made of it. */
export interface LeakagePicture {
  readonly sample: number;
  readonly defence: Defence | null;
  readonly plane: Plane;
}

/** The same in a file. */
export interface KeptPicture {
  readonly sample: number;
  readonly k: number | null;
  readonly shown: string;
  readonly width: number;
  readonly height: number;
  /** base64 */
  readonly webp: string;
}

const PIXELS_MAX = 60_000;
const SAMPLES_MAX = 3;
const QUALITY = 50;

interface Reconstructed {
  readonly defence: Defence;
  readonly planes: readonly Plane[];
}

export function pictured(
  samples: readonly { readonly view: Plane }[],
  results: readonly Reconstructed[],
  plan: Plan,
): LeakagePicture[] {
  const pictures: LeakagePicture[] = [];
  let pixels = 0;
  for (const [sample, { view }] of samples.slice(0, SAMPLES_MAX).entries()) {
    pixels += view.rows * view.columns;
    if (sample > 0 && pixels > PIXELS_MAX) break;
    pictures.push({ sample, defence: null, plane: view });
    for (const { defence, planes } of results) {
      const plane = planes[sample];
      if (plane && isShown(defence, results, plan)) pictures.push({ sample, defence, plane });
    }
  }
  return pictures;
}

function isShown(defence: Defence, results: readonly Reconstructed[], plan: Plan): boolean {
  const { tiers } = boundaryAt(plan, defence.k);
  const quantized = tiers.flatMap((tier) => (tier.type === 'quantized' ? [tier] : []));
  const coarsest = quantized.reduce((low, tier) => (low && low.bits <= tier.bits ? low : tier), quantized[0]);
  if (defence.noise === null) return defence.tier === finestTier(tiers)?.name || defence.tier === coarsest?.name;
  const rivals = results.flatMap(({ defence: { k, noise } }) => (k === defence.k && noise ? [noise] : []));
  const { type, scale, clip } = defence.noise;
  const alike = rivals.filter((noise) => noise.type === type && noise.clip === undefined);
  return type !== 'laplace' && clip === undefined && alike.every((noise) => noise.scale <= scale);
}

export async function keptPictures(pictures: readonly LeakagePicture[], codec: PictureCodec): Promise<KeptPicture[]> {
  const kept: KeptPicture[] = [];
  for (const { sample, defence, plane } of pictures) {
    const bytes = await codec.encode(planePicture(plane), 'webp', QUALITY);
    if (!bytes) continue;
    const shown = defence === null ? 'what was there' : defenceText(defence);
    const size = { width: plane.columns, height: plane.rows };
    kept.push({ sample, k: defence?.k ?? null, shown, ...size, webp: Buffer.from(bytes).toString('base64') });
  }
  return kept;
}

/** `q8, gaussian 0.5 clipped at 2`. */
export function defenceText({ tier, noise }: Pick<Defence, 'tier' | 'noise'>): string {
  if (noise === null) return tier;
  return `${tier}, ${noise.type} ${noise.scale}${noise.clip === undefined ? '' : ` clipped at ${noise.clip}`}`;
}
