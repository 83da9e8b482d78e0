'use client';
import { useEffect, useRef, useState } from 'react';
import { decodeCtc, parseCharset } from 'tandem/models/ocr-line';
import { useTandem } from 'tandem/react';

// What may leave the device, by label: the picture, or nothing.
const policy = { labels: { public: 'input', secret: 'local' } };
const url = process.env.NEXT_PUBLIC_GATEWAY ?? 'http://localhost:8080';

export default function Page() {
  const { client, state, error } = useTandem({ url, model: 'ocr-line', policy });
  const canvas = useRef(null);
  const [isLocal, setLocal] = useState(false);
  const [answer, setAnswer] = useState('');
  useEffect(() => drawLine(canvas.current, 'Harbor 2024'), []);

  async function read() {
    const charset = parseCharset(new TextDecoder().decode(await client.asset('charset')));
    const { outputs, route } = await client.infer(canvas.current, { label: isLocal ? 'secret' : 'public' });
    const { text } = decodeCtc(outputs.indices.data, outputs.probabilities.data, charset);
    setAnswer(`${text} (${route.bytesUp} bytes sent)`);
  }

  return (
    <main>
      <p>
        <canvas id="line" ref={canvas} width={360} height={56} />
      </p>
      <p>
        <label>
          <input type="checkbox" id="local" checked={isLocal} onChange={(event) => setLocal(event.target.checked)} />
          on this device only
        </label>
      </p>
      <p>
        <button type="button" id="read" disabled={!client} onClick={read}>
          Read
        </button>
        <output id="text">{answer}</output>
      </p>
      <p id="status">
        {error
          ? error.message
          : state
            ? `${state.link}, ${state.segmentsReady} of ${state.segments} segments`
            : 'connecting'}
      </p>
    </main>
  );
}

function drawLine(canvas, text) {
  const context = canvas.getContext('2d');
  context.fillStyle = '#fff';
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.fillStyle = '#111';
  context.font = '36px sans-serif';
  context.fillText(text, 12, 40);
}
