/** The report as one page that needs nothing else: a table, how regret spreads, and each network over time. */
import { quantile } from '../statistics.ts';
import {
  groupsOf,
  latencyMs,
  type Run,
  regretOf,
  type Summary,
  settledOf,
  summarize,
  summarizeCollections,
  WARM_UP,
} from '../summary.ts';
import { timelineOf } from '../timeline.ts';
import { SECOND_MS } from '../world.ts';
import { escapeHtml, plotSvg, roundAxis } from './plot.ts';

export interface ReportOptions {
  readonly title: string;
  /** What was asked for, one a line. */
  readonly about: readonly string[];
  /** What was assumed. */
  readonly remarks: readonly string[];
  /** Whether the server is of interest over time: there are many clients. */
  readonly isCrowded: boolean;
}

const COLORS: Readonly<Record<string, string>> = {
  local: '#0f7b6c',
  remote: '#3b5998',
  'best-fixed': '#8a6d1d',
  neurosurgeon: '#9b4dca',
  bandit: '#c2690f',
  tandem: '#d1242f',
  oracle: '#6e7781',
};

export function reportPage(runs: readonly Run[], { title, about, remarks, isCrowded }: ReportOptions): string {
  const collections = groupsOf(runs, ({ options }) => options.trace.collection);
  const figures = groupsOf(runs, ({ options }) => options).map((own) => {
    const { name, collection } = (own[0] as Run).options.trace;
    const plots = isCrowded ? [sharePlot(own), queuePlot(own)] : [latencyPlot(own)];
    return { name: `${collection}: ${name}`, svg: plots.join('\n') };
  });
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${escapeHtml(title)}</title>
<style>${STYLE}</style>
<h1>${escapeHtml(title)}</h1>
${list([...about, ...remarks])}
<h2>By collection</h2>
<p>Regret: a request's time over the best that was possible from the state that it began in, less 1. To the oracle: latency over that of
the oracle's own run, less 1. Latency: from arrival to answer, or to the deadline where there is none (missed), with the wait for the client's earlier requests. All three are without each client's first
${WARM_UP} requests.</p>
${table(summarizeCollections(runs))}
<h2>How regret spreads</h2>
${collections.map((own) => `<h3>${escapeHtml((own[0] as Run).options.trace.collection)}</h3>\n${regretPlot(own)}`).join('\n')}
<h2>Over time</h2>
<p><label>network <select id="network">${figures.map(({ name }, i) => `<option value="${i}">${escapeHtml(name)}</option>`).join('')}</select></label></p>
${figures.map(({ svg }, i) => `<div class="network"${i === 0 ? '' : ' hidden'}>${svg}</div>`).join('\n')}
<h2>Every network</h2>
<details><summary>${figures.length} networks</summary>
${table(summarize(runs))}
</details>
<script>
const shown = document.querySelectorAll('.network');
document.getElementById('network').addEventListener('change', (event) => {
  shown.forEach((figure, i) => { figure.hidden = String(i) !== event.target.value; });
});
</script>
</html>
`;
}

function list(lines: readonly string[]): string {
  return `<ul>${lines.map((line) => `<li>${escapeHtml(line)}</li>`).join('')}</ul>`;
}

function table(summaries: readonly Summary[]): string {
  const percent = (share: number) => (Number.isFinite(share) ? (share * 100).toFixed(1) : '');
  const ms = (value: number) => (Number.isFinite(value) ? value.toFixed(0) : '');
  const head = [
    'collection',
    'network',
    'scheduler',
    'regret %, mean',
    'p50',
    'p95',
    'p99',
    'to oracle %, mean',
    'p50',
    'ms, mean',
    'p50',
    'p95',
    'p99',
  ];
  const rows = summaries.map(({ collection, trace, scheduler, detail, settled, all, ...rest }) => [
    ...[collection, trace, detail === null ? scheduler : `${scheduler} (${detail})`],
    ...[settled.regret.mean, settled.regret.p50, settled.regret.p95, settled.regret.p99].map(percent),
    ...[rest.toOracle.mean, rest.toOracle.p50].map(percent),
    ...[settled.latencyMs.mean, settled.latencyMs.p50, settled.latencyMs.p95, settled.latencyMs.p99].map(ms),
    ...[percent(all.missed), percent(rest.late), percent(rest.shed), percent(rest.offloaded)],
    ...[(rest.bytesUp / 1000).toFixed(1), (rest.bytesDown / 1000).toFixed(1), rest.energyJ.toFixed(2)],
  ]);
  const columns = [...head, 'missed %', 'late %', 'shed %', 'offloaded %', 'kB up', 'kB down', 'J'];
  const cells = (row: readonly string[], tag: string) =>
    `<tr>${row.map((cell) => `<${tag}>${escapeHtml(cell)}</${tag}>`).join('')}</tr>`;
  return `<div class="wide"><table><thead>${cells(columns, 'th')}</thead><tbody>${rows.map((row) => cells(row, 'td')).join('\n')}</tbody></table></div>`;
}

/** Shares at which the distribution is drawn. */
const SHARES = Array.from({ length: 101 }, (_, i) => i / 100);

function regretPlot(runs: readonly Run[]): string {
  const series = groupsOf(runs, ({ scheduler }) => scheduler).map((own) => {
    const name = (own[0] as Run).scheduler;
    const regrets = settledOf(own).flatMap((one) => regretOf(one) ?? []);
    const sorted = Float64Array.from(regrets).sort();
    const points =
      sorted.length === 0 ? [] : SHARES.map((share) => [quantile(sorted, share) * 100, share * 100] as const);
    return { name, color: colorOf(name), points };
  });
  return plotSvg({
    label: 'share of requests by regret',
    x: {
      title: 'regret, %',
      min: 0,
      max: 1000,
      ticks: [0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000],
      scale: (value) => Math.log(1 + value),
    },
    y: { title: 'requests, %', ...roundAxis(100) },
    series,
  });
}

function latencyPlot(runs: readonly Run[]): string {
  const series = runs.map(({ scheduler, result }) => {
    const sorted = [...result.records].sort((a, b) => a.arrivedMs - b.arrivedMs);
    const points = sorted.map((record) => [record.arrivedMs / 1000, latencyMs(record)] as const);
    return { name: scheduler, color: colorOf(scheduler), points };
  });
  const endS = Math.max(...series.map(({ points }) => points.at(-1)?.[0] ?? 0));
  return plotSvg({
    label: 'latency of each request over time',
    x: { title: 'seconds', ...roundAxis(endS) },
    y: { title: 'ms', min: 10, max: 10_000, ticks: [10, 30, 100, 300, 1000, 3000, 10_000], scale: Math.log },
    series,
  });
}

function sharePlot(runs: readonly Run[]): string {
  const series = runs.map(({ scheduler, result }) => {
    const seconds = timelineOf(result).seconds.filter(({ requests }) => requests > 0);
    const points = seconds.map(({ second, offloaded, requests }) => [second, (100 * offloaded) / requests] as const);
    return { name: scheduler, color: colorOf(scheduler), points };
  });
  const x = { title: 'seconds', ...roundAxis(endS(runs)) };
  return plotSvg({ label: 'share offloaded over time', x, y: { title: 'offloaded, %', ...roundAxis(100) }, series });
}

function endS(runs: readonly Run[]): number {
  return Math.max(...runs.map(({ result }) => (result.samples.at(-1)?.atMs ?? 0) / SECOND_MS));
}

function queuePlot(runs: readonly Run[]): string {
  const series = runs.map(({ scheduler, result }) => {
    const points = result.samples.map(({ atMs, inFlight }) => [atMs / 1000, inFlight] as const);
    return { name: scheduler, color: colorOf(scheduler), points };
  });
  const most = Math.max(1, ...runs.flatMap(({ result }) => result.samples.map(({ inFlight }) => inFlight)));
  const x = { title: 'seconds', ...roundAxis(endS(runs)) };
  return plotSvg({
    label: 'requests at the server over time',
    x,
    y: { title: 'at the server', ...roundAxis(most) },
    series,
  });
}

function colorOf(scheduler: string): string {
  return COLORS[scheduler] ?? '#888888';
}

const STYLE = `
:root { font: 16px/1.45 system-ui, sans-serif; }
body { max-width: 960px; margin: 2rem auto; padding: 0 1rem; overflow-wrap: break-word; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.1rem; margin-top: 2rem; } h3 { font-size: 1rem; }
svg { width: 100%; min-width: 640px; height: auto; } svg text { fill: currentColor; font-size: 11px; } .grid line { stroke: #8884; }
.wide { overflow-x: auto; } table { border-collapse: collapse; font-size: .8rem; }
th, td { padding: .2rem .5rem; text-align: right; border-bottom: 1px solid #8884; white-space: nowrap; }
th:nth-child(-n+3), td:nth-child(-n+3) { text-align: left; }
`;
