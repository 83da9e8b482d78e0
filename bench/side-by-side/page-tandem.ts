/** The SDK, as a page uses it. `?offload`: it fetches no segments, and everything is sent. */
import { connect } from '../../client/browser.ts';
import { decodeCtc, parseCharset } from '../../models/ocr-line/ctc.ts';
import { visit } from './page.ts';

visit(async (first) => {
  const client = await connect({
    url: location.origin,
    model: 'ocr-line',
    policy: { labels: { public: 'input' } },
    download: location.search !== '?offload',
    first: { input: first, label: 'public' },
  });
  const segmentsAtMs: number[] = [];
  client.addEventListener('statechange', ({ detail }) => {
    while (segmentsAtMs.length < detail.segmentsReady) segmentsAtMs.push(performance.now());
  });
  const charset = client.asset('charset').then((bytes) => parseCharset(new TextDecoder().decode(bytes)));
  return {
    async read(canvas) {
      const { outputs, route } = await client.infer(canvas, { label: 'public' });
      const numbers = (name: string) => Array.from<number | bigint, number>(outputs[name]?.data ?? [], Number);
      return { text: decodeCtc(numbers('indices'), numbers('probabilities'), await charset).text, k: route.k };
    },
    settled: () => (location.search === '?offload' ? Promise.resolve() : client.prepare()),
    segmentsAtMs,
  };
});
