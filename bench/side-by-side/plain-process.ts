/**
 * What a team writes that has no SDK: static files, compressed ahead as the gateway's are, and an endpoint that reads a JPEG
 * with the whole model. Arguments: the model, its characters, the folder of files; then the picture steps as JSON.
 */
import './own-processor.ts';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import express from 'express';
import * as ort from 'onnxruntime-node';
import sharp from 'sharp';
import { decodeCtc, parseCharset } from '../../models/ocr-line/ctc.ts';
import { loadSite } from '../../server/store.ts';
import { fitPicture } from '../../shared/preprocess/picture.ts';
import { pictureTensor } from '../../shared/preprocess/picture-tensor.ts';
import { bestClasses } from './best-classes.ts';
import type { Task } from './visited.ts';

const [model = '', characters = '', siteDir = '', steps = '{}'] = process.argv.slice(2);
const { preprocess, size } = JSON.parse(steps) as Pick<Task, 'preprocess' | 'size'>;
const charset = parseCharset(readFileSync(characters, 'utf8'));
const site = await loadSite(siteDir);
// As many threads as the gateway takes for one request.
const session = await ort.InferenceSession.create(model, { intraOpNumThreads: 1, interOpNumThreads: 1 });

const app = express();
app.post('/read', express.raw({ type: 'image/jpeg', limit: '1mb' }), async (request, response) => {
  const { data, info } = await sharp(request.body as Buffer)
    .ensureAlpha()
    .raw()
    .toBuffer({ resolveWithObject: true });
  const fitted = fitPicture({ width: info.width, height: info.height, data }, preprocess, size);
  const { shape, data: values } = pictureTensor(fitted, preprocess);
  const x = new ort.Tensor('float32', values as Float32Array, shape);
  const { indices, probabilities } = bestClasses(await session.run({ x }));
  response.json(decodeCtc(indices, probabilities, charset));
});
app.use((request, response) => {
  const file = site.get(request.path);
  if (!file) return void response.sendStatus(404);
  const { br } = request.acceptsEncodings('br') ? file.encodings : {};
  if (br) response.set('Content-Encoding', 'br');
  response.type(file.contentType).send(Buffer.from(br ?? file.identity));
});
const server = createServer(app);
server.listen(0, '127.0.0.1', () => {
  process.stdout.write(`http://127.0.0.1:${(server.address() as AddressInfo).port}\n`);
});
