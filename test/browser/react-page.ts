/** The page of react.test.ts: a component with the hook, in StrictMode, which mounts everything twice. */
import { createElement, StrictMode, useState } from 'react';
import { createRoot } from 'react-dom/client';
import { type Tandem, useTandem } from '../../client/react.ts';

const gateway = new URLSearchParams(location.search).get('gateway') ?? '';

function App() {
  const [model, setModel] = useState<string | null>('ocr-line');
  const [renders, setRenders] = useState(0);
  const button = (id: string, onClick: () => void) => createElement('button', { type: 'button', id, onClick }, id);
  return createElement(
    'main',
    null,
    button('unmount', () => setModel(null)),
    button('other-model', () => setModel('no-such-model')),
    button('render-again', () => setRenders(renders + 1)),
    createElement('p', { id: 'renders' }, renders),
    model && createElement(Reader, { model }),
  );
}

function Reader({ model }: { model: string }) {
  // A new object at every render, as people write it.
  const tandem = useTandem({ url: gateway, model, policy: { labels: { public: 'input' } } });
  return createElement('p', { id: 'status' }, describe(tandem));
}

function describe({ client, state, error }: Tandem): string {
  if (error) return `error: ${(error as Error).message}`;
  return client && state ? `${client.plan.name} ${state.link} ${state.segmentsReady}` : 'nothing';
}

const root = document.getElementById('root');
if (root) createRoot(root).render(createElement(StrictMode, null, createElement(App)));
