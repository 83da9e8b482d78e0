/** The part of the report's script about leakage, as text: it follows the other one, and uses what that has defined. */
import { PRIVACY_BAR } from '../privacy/bar.ts';

export const LEAKAGE_SCRIPT = `
const { pictures = [] } = JSON.parse(document.getElementById('data').textContent);
const leakage = measured.leakage;
if (leakage) {
  const bar = ${JSON.stringify(PRIVACY_BAR)};
  document.getElementById('leakage').hidden = false;
  document.getElementById('attack').textContent = 'The attack: ' + leakage.attack + '. It reconstructs: ' + leakage.view + '. ' + leakage.trainingSamples +
    ' training samples, tried on ' + leakage.samples + ' others, ' + leakage.seeds + ' seeds; accuracy on ' + leakage.accuracySamples + '.';
  const [metric] = measured.metrics;
  const dropOf = (row) => (metric.isHigherBetter ? 1 : -1) * (leakage.accuracy[metric.name] - row.accuracy[metric.name]);
  const noiseText = (noise) => noise === null ? '-' : noise.type + ' ' + noise.scale + (noise.clip === undefined ? '' : ', clip ' + noise.clip);
  const reached = leakage.rows.filter((row) => row.leakage < bar.leakageMax && dropOf(row) < bar.accuracyDropMax).sort((a, b) => a.leakage - b.leakage);
  document.getElementById('bar').textContent = 'The bar for a privacy mode is leakage under ' + bar.leakageMax + ' with ' + metric.name + ' worse by less than ' + bar.accuracyDropMax + ': ' +
    (reached.length === 0 ? 'nothing here reaches it.' : 'reached by ' + reached.map((row) => 'k = ' + row.k + ' ' + row.tier + (row.noise ? ' + ' + noiseText(row.noise) : '') + ' (' + row.leakage.toFixed(2) + ')').join(', ') + '.');
  const trade = document.getElementById('trade');
  const colours = ['#888888', '#c2690f', '#b0304f', '#3b5998', '#0f7b6c', '#7a4fa3', '#5a7d1a', '#a3562a'];
  const drops = leakage.rows.map(dropOf).filter(Number.isFinite);
  // Near 0 is where it matters: the axis is a square root.
  const root = (value) => Math.sign(value) * Math.sqrt(Math.abs(value));
  const left = root(Math.min(0, ...drops)), right = root(Math.max(bar.accuracyDropMax, ...drops));
  const tradeX = (drop) => 60 + ((root(drop) - left) / Math.max(1e-9, right - left)) * 700;
  const tradeY = (value) => 290 - value * 270;
  for (const value of [0, .25, .5, .75, 1]) {
    trade.append(svg('line', { x1: 60, x2: 760, y1: tradeY(value), y2: tradeY(value), stroke: value === bar.leakageMax ? 'var(--net)' : '#8884' }));
    trade.append(svg('text', { x: 30, y: tradeY(value) + 4 }, value));
  }
  for (const drop of [-.01, 0, bar.accuracyDropMax, .02, .05, .1, .2, .4, .8]) {
    if (root(drop) < left || root(drop) > right) continue;
    trade.append(svg('line', { x1: tradeX(drop), x2: tradeX(drop), y1: 20, y2: 290, stroke: drop === bar.accuracyDropMax ? 'var(--net)' : '#8884' }));
    trade.append(svg('text', { x: tradeX(drop) - 8, y: 306 }, drop));
  }
  trade.append(svg('text', { x: 60, y: 14 }, 'leakage'), svg('text', { x: 560, y: 328 }, metric.name + ' worse by'));
  const most = Math.max(...leakage.rows.map((row) => row.bytesMean));
  for (const row of leakage.rows) {
    if (!Number.isFinite(dropOf(row))) continue;
    const colour = colours[row.k % colours.length];
    const dot = svg('circle', { cx: tradeX(dropOf(row)), cy: tradeY(row.leakage), r: 3 + 9 * Math.sqrt(row.bytesMean / most), class: 'leak',
      fill: row.noise ? 'none' : colour, 'fill-opacity': .6, stroke: colour });
    trade.append(titled(dot, 'k = ' + row.k + ', ' + row.tier + ', ' + noiseText(row.noise) + ': leakage ' + row.leakage.toFixed(2) + ', ' + metric.name + ' worse by ' + dropOf(row).toFixed(3) + ', ' + kB(row.bytesMean)));
  }
  const key = document.getElementById('trade-key');
  key.append('Each way to send a boundary: the area of a dot is its bytes; filled is a tier alone, open is noise. ');
  for (const k of new Set(leakage.rows.map((row) => row.k))) {
    key.append(Object.assign(document.createElement('span'), { textContent: ' ● k = ' + k, style: 'color: ' + colours[k % colours.length] }));
  }
  const shown = document.getElementById('reconstructions');
  for (const { sample, k, shown: what, width, height, webp } of pictures) {
    const figure = document.createElement('figure');
    figure.append(Object.assign(new Image(), { src: 'data:image/webp;base64,' + webp, width, height, alt: what }), document.createElement('figcaption'));
    figure.lastChild.textContent = k === null ? 'Sample ' + (sample + 1) + ': ' + what : 'k = ' + k + ', ' + what;
    shown.append(figure);
  }
  const tasks = Object.keys(leakage.taskOriginal);
  const told = (figures) => tasks.map((name) => figures[name] === undefined ? '-' : figures[name].toFixed(3));
  table('leaks', ['k', 'tier', 'noise', 'bytes', metric.name, 'leakage', '±', 'SSIM', 'of a guess', 'PSNR', 'of a guess', 'distance correlation', ...tasks.map((name) => 'read: ' + name)],
    [...leakage.rows.map((row) => [row.k, row.tier, noiseText(row.noise), Math.round(row.bytesMean), row.accuracy[metric.name]?.toFixed(3) ?? '-',
      row.leakage.toFixed(3), row.sd.toFixed(3), row.ssim.toFixed(3), row.ssimGuess.toFixed(3), row.psnr.toFixed(1), row.psnrGuess.toFixed(1), row.distanceCorrelation.toFixed(2), ...told(row.task)]),
      ['', 'what was there', '', '', leakage.accuracy[metric.name].toFixed(3), '', '', '', '', '', '', '', ...told(leakage.taskOriginal)],
      ['', 'a blind guess', '', '', '', 0, '', '', '', '', '', '', ...told(leakage.taskGuess)]]);
}
`;
