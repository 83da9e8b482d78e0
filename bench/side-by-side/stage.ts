/** What the comparison runs on: both servers as processes of their own, a camera that costs no link, and the contenders. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import sharp from 'sharp';
import type { PictureRecipe } from '../../compiler/recipe.ts';
import { folderSource } from '../../runtimes/bundle-folder.ts';
import { readPlan } from '../../shared/bundle.ts';
import type { Picture } from '../../shared/preprocess/resize.ts';
import { startServer } from '../server-process.ts';
import { FLOAT_FILE, laySites, type PageName, type Sites, SMALL_FILE } from './sites.ts';
import type { Task } from './visited.ts';

export type ContenderName =
  | 'tandem'
  | 'tandem, cloud only'
  | 'upload'
  | 'local, float'
  | 'local, 8 bits'
  | 'Transformers.js, 8 bits';

export interface Contender {
  readonly name: ContenderName;
  readonly page: PageName;
  readonly origin: string;
  readonly path: string;
}

export interface Stage {
  readonly contenders: readonly Contender[];
  readonly sites: Sites;
  /** What a page has to know of lines and model. */
  readonly scene: Pick<Task, 'camera' | 'lines' | 'preprocess' | 'size'>;
  close(): Promise<void>;
}

export interface StageOptions {
  /** Of the repository, which is built. */
  readonly root: string;
  /** The demo's bundle. */
  readonly bundle: string;
  readonly recipe: PictureRecipe;
  readonly pictures: readonly Picture[];
}

export async function openStage({ root, bundle, recipe, pictures }: StageOptions): Promise<Stage> {
  const dir = join(root, '.tandem/side-by-side');
  const sites = await laySites(root, dir, recipe, await readPlan(folderSource(bundle)));
  const { preprocess, size, file, assets } = recipe;
  const steps = JSON.stringify({ preprocess, size });
  const script = (name: string) => join(root, `dist/bench/side-by-side/${name}-process.js`);
  const started = await Promise.all([
    startServer(script('gateway'), bundle, sites.tandem),
    startServer(script('plain'), file, assets['charset'] as string, sites.plain, steps),
  ]);
  const [gateway, plain] = started;
  const camera = await openCamera(pictures);
  const contenders: Contender[] = [
    { name: 'tandem', page: 'tandem', origin: gateway.url, path: 'tandem.html' },
    { name: 'tandem, cloud only', page: 'tandem', origin: gateway.url, path: 'tandem.html?offload' },
    { name: 'upload', page: 'upload', origin: plain.url, path: 'upload.html' },
    { name: 'local, float', page: 'local', origin: plain.url, path: `local.html?${FLOAT_FILE}` },
    { name: 'local, 8 bits', page: 'local', origin: plain.url, path: `local.html?${SMALL_FILE}` },
    { name: 'Transformers.js, 8 bits', page: 'transformers', origin: plain.url, path: 'transformers.html' },
  ];
  return {
    ...{ contenders, sites },
    scene: { camera: camera.url, lines: pictures.length, preprocess, size },
    async close() {
      camera.close();
      await Promise.all(started.map((server) => server.kill()));
    },
  };
}

/** Lines as PNG files at `/0`, `/1` and so on. */
async function openCamera(pictures: readonly Picture[]): Promise<{ url: string; close(): void }> {
  const files = await Promise.all(
    pictures.map(({ width, height, data }) =>
      sharp(data, { raw: { width, height, channels: 4 } })
        .png()
        .toBuffer(),
    ),
  );
  const server = createServer((request, response) => {
    const file = files[Number(request.url?.slice(1))];
    response.writeHead(file ? 200 : 404, { 'Content-Type': 'image/png', 'Access-Control-Allow-Origin': '*' }).end(file);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close() {
      server.close();
      server.closeAllConnections();
    },
  };
}
