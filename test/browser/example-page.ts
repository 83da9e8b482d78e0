/** Beside the app of an example, in browsers without a driver: uses it as people do. Where no test has opened it, it does nothing. */
import { obey } from './obey.ts';

const WAIT_MS_MAX = 20_000;
const errors: string[] = [];

addEventListener('error', ({ message }) => errors.push(message));
addEventListener('unhandledrejection', ({ reason }) => errors.push(String(reason)));
addEventListener('securitypolicyviolation', ({ blockedURI, violatedDirective }) => {
  // No example has an icon.
  if (!blockedURI.endsWith('/favicon.ico')) errors.push(`${violatedDirective}: ${blockedURI}`);
});
console.error = (...said) => errors.push(said.join(' '));

const element = <E extends HTMLElement>(id: string) => document.getElementById(id) as E | null;

const actions = {
  /** Draws a line as the apps do, presses the button, and gives what is said of this line. */
  async read(text: string, isLocal: boolean) {
    await until(() => element<HTMLButtonElement>('read')?.disabled === false);
    const canvas = element<HTMLCanvasElement>('line');
    const context = canvas?.getContext('2d') as CanvasRenderingContext2D;
    context.fillStyle = '#fff';
    context.fillRect(0, 0, context.canvas.width, context.canvas.height);
    context.fillStyle = '#111';
    context.font = '36px sans-serif';
    context.fillText(text, 12, 40);
    if (element<HTMLInputElement>('local')?.checked !== isLocal) element('local')?.click();
    element('read')?.click();
    const said = () => element('text')?.textContent ?? '';
    await until(() => said().startsWith(`${text} (`));
    return said();
  },
  says: (status: string) => until(() => element('status')?.textContent === status),
  errors: async () => errors,
  /** The answer is on its way before the page goes. */
  async goTo(url: string) {
    setTimeout(() => location.assign(url), 100);
  },
};
export type ExampleActions = typeof actions;

async function until(isSo: () => boolean): Promise<void> {
  const endMs = performance.now() + WAIT_MS_MAX;
  while (!isSo()) {
    if (performance.now() > endMs) throw new Error(`the page says: ${document.body.textContent}\n${errors.join('\n')}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

const control = new URLSearchParams(location.search).get('control');
if (control !== null) obey(actions, control);
