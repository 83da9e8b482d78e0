/** The demo: reads a line of text wherever that is best, and shows where it was and why. */
import { type BrowserClient, type ClientState, connect, TandemError, type Tensor } from 'tandem/client';
import { decodeCtc, parseCharset } from '../models/ocr-line/ctc.ts';
import { byId } from './dom.ts';
import { type Box, drawText, initialBox, makeDraggable, partOf } from './line-picture.ts';
import { type Account, receiptView } from './receipt-view.ts';
import { CUT_NAMES, showRoute } from './route-view.ts';
import config from './tandem.json' with { type: 'json' };

const LABELS = {
  public: 'may be sent as it is',
  personal: 'may leave only as features of the backbone, not as a picture',
  secret: 'stays on this device, text and all',
};

const canvas = byId<HTMLCanvasElement>('drawn');
const text = byId<HTMLInputElement>('text');
const photo = byId<HTMLImageElement>('photo');
/** What it shows. The input forgets it where another is not chosen after all. */
let photoFile: File | undefined;
const receipts = receiptView();
const box: Box = { left: 0, top: 0, width: 1, height: 1 };

showInput();
showLabels();
try {
  await start();
} catch (error) {
  showError(error);
}

async function start(): Promise<void> {
  const client = await connect({ url: new URL('.', location.href).href, model: 'ocr-line', policy: config.policy });
  client.addEventListener('statechange', ({ detail }) => showState(detail));
  client.addEventListener('receipt', ({ detail }) => receipts.come(detail));
  showState(client.state);
  showCuts(client.plan.segments.length);
  const charset = parseCharset(new TextDecoder().decode(await client.asset('charset')));
  const button = byId<HTMLButtonElement>('read');
  button.disabled = false;
  text.onkeydown = ({ key }) => {
    if (key === 'Enter') button.click();
  };
  button.onclick = async () => {
    const hadFocus = document.activeElement === button;
    button.disabled = true;
    byId('error').hidden = true;
    byId('answer').hidden = true;
    byId('left').hidden = true;
    await read(client, charset).catch(showFailure);
    button.disabled = false;
    // What is disabled loses it, and whoever works with keys would begin at the top again.
    if (hadFocus) button.focus({ preventScroll: true });
  };
}

async function read(client: BrowserClient, charset: readonly string[]): Promise<void> {
  const k = byId<HTMLSelectElement>('cut').value;
  const { outputs, route } = await client.infer(await currentPicture(), {
    label: chosen('label'),
    force: k === '' ? undefined : { k: Number(k) },
  });
  const { text: line, confidence } = decodeCtc(
    numbersOf(outputs['indices']),
    numbersOf(outputs['probabilities']),
    charset,
  );
  const output = byId<HTMLOutputElement>('text-out');
  output.textContent = line || '(no text found: is the line in the box, and upright?)';
  output.title = `confidence ${(confidence * 100).toFixed(0)} %`;
  showRoute(route, client.plan);
  await showLeft(route);
  byId('answer').hidden = false;
  byId('answer').scrollIntoView({ block: 'nearest' });
}

/** What came to nothing may have left all the same. */
async function showFailure(error: unknown): Promise<void> {
  showError(error);
  if (!(error instanceof TandemError) || !error.sent) return;
  const bytesUp = error.sent.reduce((sum, { bytes }) => sum + bytes, 0);
  await showLeft({ sent: error.sent, bytesUp, label: chosen('label') });
}

async function showLeft(account: Account): Promise<void> {
  await receipts.show(account);
  byId('left').hidden = false;
}

async function currentPicture(): Promise<HTMLCanvasElement> {
  if (chosen('source') === 'type') return canvas;
  if (!photoFile || !photo.naturalWidth) throw new TandemError('BAD_INPUT', 'take or choose a photo first');
  return partOf(photoFile, box);
}

function numbersOf(tensor: Tensor | undefined): number[] {
  return Array.from<number | bigint, number>(tensor?.data ?? [], Number);
}

function showInput(): void {
  drawText(canvas, text.value);
  text.oninput = () => drawText(canvas, text.value);
  const showPane = () => {
    byId('type-pane').hidden = chosen('source') !== 'type';
    byId('photo-pane').hidden = chosen('source') !== 'photo';
  };
  for (const radio of document.querySelectorAll<HTMLInputElement>('input[name="source"]')) radio.onchange = showPane;
  // Firefox keeps what was chosen when a page is loaded again.
  showPane();
  byId<HTMLInputElement>('file').onchange = ({ target }) => {
    const [file] = (target as HTMLInputElement).files ?? [];
    if (!file) return;
    byId('error').hidden = true;
    URL.revokeObjectURL(photo.src);
    photoFile = file;
    photo.src = URL.createObjectURL(file);
  };
  photo.onload = () => {
    byId('crop').hidden = false;
    Object.assign(box, initialBox(photo));
    makeDraggable(byId('crop'), byId('box'), byId('handle'), box);
  };
  photo.onerror = () => {
    byId('crop').hidden = true;
    showError(new TandemError('BAD_INPUT', 'this file is no picture that the browser can read'));
  };
}

function showLabels(): void {
  const cards = Object.entries(LABELS).map(([label, meaning], i) => {
    const card = document.createElement('label');
    card.innerHTML = `<input type="radio" name="label" value="${label}" ${i === 0 ? 'checked' : ''}><span>${label}<small>${meaning}</small></span>`;
    return card;
  });
  byId('labels').replaceChildren(...cards);
}

function showCuts(depth: number): void {
  const options = Array.from({ length: depth + 1 }, (_, k) => {
    return new Option(`k = ${k}: ${CUT_NAMES[k] ?? `boundary ${k}`}`, String(k));
  });
  byId<HTMLSelectElement>('cut').append(...options);
}

function showState({
  link,
  message,
  segmentsReady,
  segments,
  bytesLoaded,
  bytesTotal,
  downloadError,
}: ClientState): void {
  byId('status').querySelector('.dot')?.setAttribute('class', `dot ${link}`);
  const cloud = {
    open: 'cloud connected',
    connecting: 'cloud not reached',
    refused: 'cloud refused',
    closed: 'closed',
  };
  const device = downloadError ? `download failed: ${downloadError}` : `${segmentsReady}/${segments} segments`;
  byId('status-text').textContent = `${cloud[link]} · ${device}`;
  byId('status').title = message ?? '';
  byId<HTMLProgressElement>('loaded').value = bytesTotal === 0 ? 0 : bytesLoaded / bytesTotal;
}

function chosen(name: string): string {
  return document.querySelector<HTMLInputElement>(`input[name="${name}"]:checked`)?.value ?? '';
}

function showError(error: unknown): void {
  const place = byId('error');
  place.textContent = error instanceof Error ? error.message : String(error);
  place.title = error instanceof TandemError ? error.code : '';
  place.hidden = false;
  place.scrollIntoView({ block: 'nearest' });
}
