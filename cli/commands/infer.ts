/** `tandem infer`: one picture through the Node client, with the decision explained. */
import { readFile } from 'node:fs/promises';
import * as ort from 'onnxruntime-node';
import { baseUrl } from '../../client/base-url.ts';
import { connect, describeRoute, type InferResult, type Plan, readPicture, verifyReceipt } from '../../client/node.ts';
import { readNpz } from '../../compiler/index.ts';
import { loadRecipe, MODEL_NAMES } from '../../models/index.ts';
import { hasCode, TandemError } from '../../shared/errors.ts';
import { readArguments, wholeNumber } from '../arguments.ts';
import { formatTable } from '../table.ts';
import { unreadable } from '../unreadable.ts';

export const usage =
  'tandem infer --url URL --model NAME --input F [--k N] [--label L] [--floor BOUNDARY] [--token T] [--json]';

const VALUES_SHOWN = 8;
const MODELS_MS_MAX = 5000;

export async function run(argv: readonly string[]): Promise<number> {
  const { values } = readArguments(
    argv,
    {
      url: { type: 'string' },
      model: { type: 'string' },
      input: { type: 'string' },
      k: { type: 'string' },
      label: { type: 'string', default: 'public' },
      floor: { type: 'string' },
      token: { type: 'string' },
      json: { type: 'boolean' },
    },
    [],
  );
  const { url, model, input, label } = values;
  if (!url || !model || !input) throw new TandemError('USAGE', `expected --url, --model and --input: ${usage}`);
  const bytes = await readFile(input).catch(unreadable(input));
  const isArrays = input.endsWith('.npz');
  const given = isArrays ? readNpz(bytes, input) : await readPicture(bytes);
  const recipe = MODEL_NAMES.includes(model) ? await loadRecipe(model) : undefined;
  const k = wholeNumber(values.k, '--k');
  // Whoever types the command decides what may leave, and without a word of theirs only what is public does.
  const floor = values.floor ?? (label === 'public' ? 'input' : 'local');
  const policy = { labels: { [label]: floor } };
  const token = values.token ?? process.env['TANDEM_TOKEN'];
  const address = url.replace(/^ws/, 'http');
  const client = await connect({ url: address, model, policy, token, ort }).catch(withReason(address));
  try {
    assertFloor(floor, client.plan);
    const result = await client.infer(given, { label, ...(k !== undefined && { force: { k } }) });
    const answer = recipe?.answer(result.outputs) ?? describeOutputs(result);
    process.stdout.write(
      values.json
        ? `${JSON.stringify({ answer, route: result.route })}\n`
        : `${describe(answer, result)}${await receiptLine(result)}\n`,
    );
    return 0;
  } finally {
    await client.close();
  }
}

/** A client does not read what else is said of a 404; which models there are is public. */
function withReason(url: string) {
  return async (error: unknown): Promise<never> => {
    if (!hasCode(error, 'NOT_FOUND')) throw error;
    const models = await fetch(`${baseUrl(url)}/models`, { signal: AbortSignal.timeout(MODELS_MS_MAX) })
      .then((response) => response.json() as Promise<readonly { readonly name: string }[]>)
      .then((served) => served.map(({ name }) => name).join(', '))
      .catch(() => null);
    throw models === null ? error : new TandemError('NOT_FOUND', `${error.message}; models of this gateway: ${models}`);
  };
}

/** Of a model that has no folder: its outputs, as far as they fit a line. */
function describeOutputs({ outputs }: InferResult): string {
  return Object.entries(outputs)
    .map(([name, { dtype, shape, data }]) => {
      const values = Array.from(data.slice(0, VALUES_SHOWN) as ArrayLike<number | bigint>, Number);
      const shown = values.map((value) => Number(value.toPrecision(5))).join(' ');
      return `${name} ${dtype} [${shape}]: ${shown}${data.length > VALUES_SHOWN ? ' ...' : ''}`;
    })
    .join('\n');
}

function assertFloor(floor: string, { boundaries }: Plan): void {
  const names = boundaries.flatMap(({ tensors }) => tensors.map(({ name }) => name));
  if (['input', 'local', ...names].includes(floor)) return;
  throw new TandemError(
    'USAGE',
    `expected --floor input, local or one of ${names.slice(1, -1).join(', ')}, got ${floor}`,
  );
}

async function receiptLine({ route }: InferResult): Promise<string> {
  const lines = [describeRoute(route)];
  for (const { receipt } of route.sent) {
    if (!receipt) continue;
    const verdict = (await verifyReceipt(receipt)) ? 'signed by the gateway' : 'the signature is wrong';
    lines.push(`(Receipt ${receipt.receipt.id}: ${verdict}.)`);
  }
  return lines.join(' ');
}

function describe(answer: string, { route }: InferResult): string {
  const { k, tier, timing, bytesUp, bytesDown, decisions, fallback } = route;
  // The first decision is the one that had every choice.
  const [first] = decisions;
  const rows = (first?.candidates ?? []).map((candidate) => [
    String(candidate.k),
    candidate.tier ?? '-',
    candidate.predicted.totalMs.toFixed(1),
    String(Math.round(candidate.predicted.bytes)),
  ]);
  return [
    answer,
    '',
    `k = ${k}${tier ? `, tier ${tier}` : ', all on the device'}: ${timing.totalMs.toFixed(1)} ms, ` +
      `${bytesUp} bytes up, ${bytesDown} down${fallback ? `; ${fallback.message}` : ''}`,
    formatTable(['k', 'tier', 'predicted ms', 'bytes'], rows),
    ...(first?.removed ?? []).map(
      (removed) => `not k = ${removed.k}${removed.tier ? `, ${removed.tier}` : ''}: ${removed.reason}`,
    ),
    '',
  ].join('\n');
}
