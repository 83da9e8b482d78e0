/**
 * `npm run conformance`: every model of ONNX's own test data (Debian's libonnx-testdata) and the real networks of the
 * packages that tests use, read, written and cut at every legal boundary, against what the untouched file gives: the
 * same bits.
 */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { OPSET_MAX } from '../compiler/passes/upgrade-opset.ts';
import { type CheckOptions, checkModelFile, type ModelCheck } from './check-model.ts';
import { realModels } from './real-models.ts';
import { markdownTable } from './stats.ts';

const ROOT = process.argv[2] ?? '/usr/share/libonnx-testdata/data';
const FOLDERS = ['node', 'simple', 'pytorch-converted', 'pytorch-operator'];

if (!existsSync(ROOT)) {
  process.stderr.write(`there is no test data at ${ROOT}: install libonnx-testdata, or name its folder\n`);
  process.exit(2);
}
interface Case {
  readonly name: string;
  readonly path: string;
  readonly feeds?: () => Promise<NonNullable<CheckOptions['feeds']>>;
}

function casesIn(folder: string): Case[] {
  return readdirSync(join(ROOT, folder))
    .map((name) => ({ name, path: join(ROOT, folder, name, 'model.onnx') }))
    .filter(({ path }) => existsSync(path));
}

const checks = new Map<string, ModelCheck[]>();
const suites: [string, readonly Case[]][] = [
  ...FOLDERS.map((folder): [string, Case[]] => [folder, casesIn(folder)]),
  ['real networks', realModels()],
];
for (const [suite, cases] of suites) {
  const list: ModelCheck[] = [];
  for (const { name, path, feeds } of cases) {
    if (process.stderr.isTTY) process.stderr.write(`\r${suite}: ${list.length} of ${cases.length} `);
    list.push(
      await checkModelFile(path, name, { tensorsMax: 2, errorMax: 0, step: 1, ...(feeds && { feeds: await feeds() }) }),
    );
  }
  checks.set(suite, list);
}
const isFromOnnx = ([suite]: [string, ModelCheck[]]) => FOLDERS.includes(suite);
const totals: [string, ModelCheck[]][] = [
  ['all of ONNX', [...checks].filter(isFromOnnx).flatMap(([, list]) => list)],
  ['all', [...checks.values()].flat()],
];
const rows = [...checks, ...totals].map(([folder, list]) => {
  const ran = list.filter(({ unrunnable }) => unrunnable === null);
  const sum = (of: (check: ModelCheck) => number) => String(ran.reduce((total, check) => total + of(check), 0));
  return [
    folder,
    String(list.length),
    String(ran.length),
    String(ran.filter(({ boundaries }) => boundaries > 0).length),
    sum(({ boundaries }) => boundaries),
    `${sum(({ sendShapes }) => sendShapes)} of ${sum(({ wouldSendShapes }) => wouldSendShapes)}`,
    String(ran.filter(({ notUpgraded }) => notUpgraded === null).length),
    sum(({ failures }) => failures.length),
  ];
});
process.stdout.write(
  `${markdownTable(['models of', 'there are', 'ran', 'were cut', 'boundaries', 'send shapes', 'upgraded', 'differ'], rows)}\n\n`,
);
const all = [...checks.values()].flat();
for (const { name, failures } of all)
  for (const failure of failures) process.stdout.write(`FAILED ${name}: ${failure}\n`);
listByReason(
  `Not upgraded to opset ${OPSET_MAX}, by the operator in the way`,
  all.filter(({ unrunnable }) => unrunnable === null).map(({ name, notUpgraded }) => [name, notUpgraded]),
);
listByReason(
  'Not run by the runtime, untouched as they are',
  all.map(({ name, unrunnable }) => [
    name,
    unrunnable?.replace(/.*(Not implemented|No Op registered for|NOT_IMPLEMENTED)/, '$1').slice(0, 100) ?? null,
  ]),
);
process.exitCode = all.some(({ failures }) => failures.length > 0) ? 1 : 0;

/** A line for each reason, the one of most models first; null is none. */
function listByReason(title: string, models: readonly (readonly [name: string, reason: string | null])[]): void {
  const reasons = new Map<string, string[]>();
  for (const [name, reason] of models) if (reason !== null) reasons.set(reason, [...(reasons.get(reason) ?? []), name]);
  process.stdout.write(`\n${title}:\n`);
  for (const [reason, names] of [...reasons].sort((a, b) => b[1].length - a[1].length)) {
    process.stdout.write(`- ${reason} (${names.length}): ${names.join(', ')}\n`);
  }
}
