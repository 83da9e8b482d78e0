/** What a page without a driver does: it asks the test (../helpers/remote-page.ts) for what is next, as long as there is a test. */
import type { Actions, Order, Reply } from '../helpers/remote-page.ts';

/** @param control where to ask */
export async function obey(actions: Actions, control: string): Promise<never> {
  const tell = (what: string, body = '') => fetch(`${control}/${what}`, { method: 'POST', body });
  await tell('loaded');
  for (;;) {
    const order: Order = await (await fetch(`${control}/next`)).json();
    await tell('reply', JSON.stringify(await perform(actions, order)));
  }
}

async function perform(actions: Actions, { name, args }: Order): Promise<Reply> {
  try {
    return { result: await (actions[name] as (...args: readonly unknown[]) => unknown)(...args) };
  } catch (error) {
    return { error: `${error}\n${(error as Error).stack}` };
  }
}
