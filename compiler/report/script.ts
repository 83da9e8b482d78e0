/** The report's own script, as text: it runs in the reader's browser, knows nothing but the page and its data. */
import { ACCURACY_DROP_MAX } from '../../shared/schedule/table.ts';

export const SCRIPT = `
'use strict';
const { plan, boundaries, fusions, sizes, inaccurate, dropped, choice, searches } = JSON.parse(document.getElementById('data').textContent);
const measured = plan.measured;
const K = plan.segments.length;
const at = (cost) => Math.max(0, cost.fixed + cost.perSize * plan.size.typical);
const [target] = Object.keys(plan.segments[0].targets);
const kB = (bytes) => bytes >= 1e6 ? (bytes / 1e6).toFixed(2) + ' MB' : (bytes / 1e3).toFixed(1) + ' kB';
const svg = (name, attributes, text) => {
  const element = document.createElementNS('http://www.w3.org/2000/svg', name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  return element;
};
const titled = (element, text) => { element.append(svg('title', {}, text)); return element; };

document.getElementById('about').textContent =
  plan.model.source + ' · plan ' + plan.id.slice(0, 12) + ' · ' + measured.samples + ' samples · ' + measured.machine;

const chain = document.getElementById('chain');
for (const [i, segment] of plan.segments.entries()) {
  const box = document.createElement('div');
  const file = segment.targets[target];
  const ms = at(measured.timeMs[target][i]);
  box.style.flex = ms + ' 1 0';
  const server = at(measured.timeMs.server[i]).toFixed(1);
  for (const line of [i + 1, ms.toFixed(1) + ' / ' + server + ' ms', kB(file.bytes), file.recipe]) {
    box.append(document.createElement('span'));
    box.lastChild.textContent = line;
  }
  box.title = ms.toFixed(1) + ' ms on ' + target + ', ' + server + ' ms on the server; ' + kB(segment.server.bytes) + ' in full precision';
  chain.append(box);
}

const plot = document.getElementById('boundaries');
const sized = boundaries.filter(({ rawBytes }) => rawBytes > 0);
const logs = sized.map(({ rawBytes }) => Math.log10(rawBytes));
const [low, high] = [Math.floor(Math.min(...logs)), Math.ceil(Math.max(...logs) + 1e-9)];
const x = (depth) => 50 + depth * 730;
const y = (bytes) => 260 - ((Math.log10(bytes) - low) / Math.max(1, high - low)) * 240;
for (let power = low; power <= high; power++) {
  plot.append(svg('line', { x1: 50, x2: 780, y1: y(10 ** power), y2: y(10 ** power), stroke: '#8884' }));
  plot.append(svg('text', { x: 4, y: y(10 ** power) + 4 }, kB(10 ** power)));
}
const deployed = new Map(plan.boundaries.map(({ tensors }, k) => [tensors.map(({ name }) => name).join(' + '), k]));
for (const { tensors, depth, rawBytes } of sized) {
  const name = tensors.join(' + ');
  const k = deployed.get(name);
  const colour = k === undefined ? '#8888' : 'var(--net)';
  const dot = svg('circle', { cx: x(depth), cy: y(rawBytes), r: k === undefined ? 3 : 6, class: 'boundary',
    fill: tensors.length === 1 ? colour : 'none', stroke: colour });
  plot.append(titled(dot, name + ': ' + kB(rawBytes)));
  if (k !== undefined) plot.append(svg('text', { x: x(depth) + 8, y: y(rawBytes) - 8 }, 'k = ' + k));
}
plot.append(svg('text', { x: 50, y: 292 }, 'input'), svg('text', { x: 745, y: 292 }, 'output'));

const sum = (costs) => costs.reduce((total, cost) => total + at(cost), 0);
function choices(mbps, rttMs, factor) {
  const all = [];
  for (const { k, tier, bytes, decodeMs } of measured.tiers) {
    const head = sum(measured.timeMs[target].slice(0, k)) * factor;
    const net = rttMs + (at(bytes) * 8) / (mbps * 1000);
    const cloud = at(decodeMs) + sum(measured.timeMs.server.slice(k));
    all.push({ k, tier, head, net, cloud, total: head + net + cloud, lost: inaccurate[k + '/' + tier] });
  }
  const local = sum(measured.timeMs[target]) * factor;
  all.push({ k: K, tier: 'nothing sent', head: local, net: 0, cloud: 0, total: local });
  return all;
}
function drawTimes() {
  const mbps = 10 ** Number(document.getElementById('mbps').value);
  const rttMs = Number(document.getElementById('rtt').value);
  const factor = 2 ** Number(document.getElementById('device').value);
  document.getElementById('mbps-out').textContent = mbps.toFixed(2) + ' Mbit/s';
  document.getElementById('rtt-out').textContent = rttMs + ' ms';
  document.getElementById('device-out').textContent = factor.toFixed(1) + ' x slower';
  const all = choices(mbps, rttMs, factor);
  const best = all.filter(({ lost }) => lost === undefined).reduce((a, b) => (b.total < a.total ? b : a));
  const worst = Math.max(...all.map(({ total }) => total));
  const times = document.getElementById('times');
  times.replaceChildren();
  const height = 20;
  times.setAttribute('viewBox', '0 0 800 ' + (height * all.length + 10));
  for (const [i, choice] of all.entries()) {
    let left = 150;
    times.append(svg('text', { x: 4, y: i * height + height * 0.7, 'font-weight': choice === best ? 700 : 400 }, 'k = ' + choice.k + ', ' + choice.tier));
    for (const [part, colour] of [['head', 'var(--device)'], ['net', 'var(--net)'], ['cloud', 'var(--cloud)']]) {
      const width = (choice[part] / worst) * 560;
      times.append(titled(svg('rect', { x: left, y: i * height + 2, width, height: height - 4, fill: colour, opacity: choice === best ? 1 : choice.lost !== undefined ? 0.2 : 0.55 }), part + ' ' + choice[part].toFixed(1) + ' ms'));
      left += width;
    }
    times.append(svg('text', { x: left + 6, y: i * height + height * 0.7 }, choice.total.toFixed(0) + ' ms' + (choice.lost === undefined ? '' : ', loses ' + (choice.lost * 100).toFixed(1) + ' points')));
  }
  document.getElementById('best').textContent = 'Best here: k = ' + best.k + ', ' + best.tier + ', ' + best.total.toFixed(1) + ' ms. What loses more than ${ACCURACY_DROP_MAX * 100} points of ' + measured.metrics[0].name + ' clients leave out, unless told otherwise.';
}
for (const id of ['mbps', 'rtt', 'device']) document.getElementById(id).addEventListener('input', drawTimes);
drawTimes();

function table(id, head, rows) {
  const element = document.getElementById(id);
  const line = (cells, tag) => {
    const row = document.createElement('tr');
    for (const cell of cells) { const box = document.createElement(tag); box.textContent = cell; row.append(box); }
    return row;
  };
  element.append(line(head, 'th'), ...rows.map((cells) => line(cells, 'td')));
}
const names = measured.metrics.map(({ name }) => name);
table('accuracy', ['head on', 'k', 'tier', 'bytes, mean', 'p95', ...names],
  measured.accuracy.map((row) => [row.target, row.k, row.tier ?? '-', Math.round(row.bytesMean), row.bytesP95, ...names.map((name) => (row.metrics[name] * 100).toFixed(2) + ' %')]));
const counts = (operators) => Object.entries(operators).sort((a, b) => b[1] - a[1]).map(([op, n]) => op + ' ' + n).join(', ');
table('fusions', ['segment', 'written', 'on the server', 'on the device'],
  fusions.map(({ segment, written, server, device }) => [segment, counts(written), counts(server), counts(device)]));
table('unfused', ['segment', 'operator', 'times', 'why', 'one of them'],
  fusions.flatMap(({ segment, unfused }) => unfused.map(({ op, count, reason, example }) => [segment, op, count, reason, example])));
table('places', ['place', ...plan.segments.map((_, i) => i + 1), 'all'],
  Object.entries(measured.timeMs).map(([place, costs]) => [place, ...costs.map((cost) => at(cost).toFixed(2)), sum(costs).toFixed(2)]));
const after = (bytes, before) => kB(bytes) + ' (' + (bytes === before ? '0' : ((bytes / before - 1) * 100).toFixed(1)) + ' %)';
const sizeRow = (target, segment, { float, quantized, stored, sent, sentUnpacked }) =>
  [target, segment, kB(float), after(quantized, float), after(stored, quantized), after(sent, stored), kB(sentUnpacked)];
const total = (rows) => Object.fromEntries(['float', 'quantized', 'stored', 'sent', 'sentUnpacked'].map((key) => [key, rows.reduce((all, row) => all + row[key], 0)]));
table('sizes', ['target', 'segment', 'float', 'quantized', 'stored', 'sent', 'brotli alone'],
  Object.keys(plan.segments[0].targets).flatMap((name) => {
    const rows = sizes.filter((row) => row.target === name);
    return [...rows.map((row) => sizeRow(name, row.segment, row)), sizeRow(name, 'all', total(rows))];
  }));
document.getElementById('dropped').hidden = dropped.length === 0;
for (const text of dropped) document.getElementById('drops').append(Object.assign(document.createElement('li'), { textContent: text }));
const search = searches[target];
if (search) {
  document.getElementById('search').hidden = false;
  const pareto = document.getElementById('pareto');
  const share = (bytes) => bytes / search.float.bytes;
  const drops = [...search.front, search.chosen].map(({ drop }) => drop);
  const top = Math.max(...drops, search.accuracyDropMax) * 1.1, bottom = Math.min(...drops, 0) * 1.1;
  const dropY = (drop) => 20 + ((top - drop) / (top - bottom)) * 240;
  const shareX = (point) => 60 + share(point.bytes) * 700;
  for (const part of [0, .25, .5, .75, 1]) {
    pareto.append(svg('line', { x1: 60 + part * 700, x2: 60 + part * 700, y1: 20, y2: 260, stroke: '#8884' }));
    pareto.append(svg('text', { x: 48 + part * 700, y: 276 }, part * 100 + ' %'));
  }
  pareto.append(svg('line', { x1: 60, x2: 760, y1: dropY(search.accuracyDropMax), y2: dropY(search.accuracyDropMax), stroke: 'var(--net)' }));
  pareto.append(svg('text', { x: 600, y: dropY(search.accuracyDropMax) - 5 }, 'allowed: ' + search.accuracyDropMax));
  for (const drop of [top, 0]) pareto.append(svg('text', { x: 4, y: dropY(drop) + 4 }, drop.toPrecision(2)));
  pareto.append(svg('text', { x: 66, y: 14 }, measured.metrics[0].name + ', worse by'));
  const told = (point) => (share(point.bytes) * 100).toFixed(1) + ' % of the bytes, ' + ((point.timeMs / search.float.timeMs) * 100).toFixed(0) +
    ' % of the time, ' + measured.metrics[0].name + ' worse by ' + point.drop.toPrecision(2) + ', ' + (point.changed * 100).toFixed(0) + ' % of the answers others';
  for (const point of search.front) pareto.append(titled(svg('circle', { cx: shareX(point), cy: dropY(point.drop), r: 4, class: 'tried', fill: 'var(--device)' }), told(point)));
  pareto.append(titled(svg('circle', { cx: shareX(search.chosen), cy: dropY(search.chosen.drop), r: 8, id: 'taken', fill: 'none', 'stroke-width': 2, stroke: 'var(--net)' }), told(search.chosen)));
  pareto.append(svg('text', { x: 300, y: 295 }, 'bytes of all segments, over float'));
  table('layers', ['layer', 'segment', 'form', 'bytes saved', 'ms saved', 'loss', 'others: bytes saved, loss'],
    search.layers.map(({ layer, segment, form, options }) => {
      const own = options.find((one) => one.form === form) ?? options[0];
      const others = options.filter((one) => one.form !== form).map((one) => one.form + ': ' + -one.bytes + ', ' + one.loss.toExponential(1));
      return [layer, segment + 1, form, -own.bytes, (-own.timeMs).toFixed(2), own.loss.toExponential(1), others.join('; ')];
    }));
}
if (choice) {
  document.getElementById('choice').hidden = false;
  const nameOf = ({ tensors }) => tensors.join(' + ');
  const chosen = choice.chosen.map(nameOf);
  const places = choice.candidates.map(nameOf);
  table('candidates', ['', 'boundary', 'head ms', 'tail ms', 'tier', 'bytes', 'MB', ''],
    choice.candidates.map((one, i) => [i + 1, nameOf(one), one.headMs.toFixed(1), one.tailMs.toFixed(1), one.tier, Math.round(one.bytes),
      (one.memoryBytes / 1e6).toFixed(1), chosen.includes(nameOf(one)) ? 'chosen' : '']));
  document.getElementById('expected').textContent = 'Expected of a request, over the profiles of users: ' + choice.withoutMs.toFixed(1) +
    ' ms uncut, ' + choice.withAllMs.toFixed(1) + ' ms if all of them were deployed and cost nothing. The most promising sets, timed again as chains:';
  const [best] = choice.tried;
  table('sets', ['set', 'promised ms', 'timed ms', 'over the best known'],
    choice.tried.map((set) => [set.chosen.map((one) => places.indexOf(nameOf(one)) + 1).join(', '), set.expectedMs.toFixed(1), set.timedMs.toFixed(1),
      ((set.timedMs / best.timedMs - 1) * 100).toFixed(1) + ' %']));
}
`;
