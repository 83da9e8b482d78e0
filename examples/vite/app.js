import { connect } from 'tandem/client';
import { decodeCtc, parseCharset } from 'tandem/models/ocr-line';

const [canvas, local, button, output, status] = ['line', 'local', 'read', 'text', 'status'].map((id) =>
  document.getElementById(id),
);

const client = await connect({
  // The parameter is for trying it: an app names its own gateway here.
  url: new URLSearchParams(location.search).get('gateway') ?? 'http://localhost:8080',
  model: 'ocr-line',
  // What may leave the device, by label: the picture, or nothing.
  policy: { labels: { public: 'input', secret: 'local' } },
});
const charset = parseCharset(new TextDecoder().decode(await client.asset('charset')));

button.onclick = async () => {
  const { outputs, route } = await client.infer(canvas, { label: local.checked ? 'secret' : 'public' });
  const { text } = decodeCtc(outputs.indices.data, outputs.probabilities.data, charset);
  output.textContent = `${text} (${route.bytesUp} bytes sent)`;
};

const showState = ({ link, segmentsReady, segments }) => {
  status.textContent = `${link}, ${segmentsReady} of ${segments} segments`;
};
client.addEventListener('statechange', ({ detail }) => showState(detail));
showState(client.state);
drawLine('Harbor 2024');
button.disabled = false;

function drawLine(text) {
  const context = canvas.getContext('2d');
  context.fillStyle = '#fff';
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.fillStyle = '#111';
  context.font = '36px sans-serif';
  context.fillText(text, 12, 40);
}
