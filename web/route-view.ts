/** Shows where a request ran, where its time and bytes went, and what else was possible. */
import type { Client, Route } from 'tandem/client';
import { byId } from './dom.ts';

/** What the boundaries of the demo's model are, in words; by k. */
export const CUT_NAMES = [
  'send the picture',
  'send early features',
  'send mid-backbone features',
  'send backbone features',
  'send what attention made',
  'send nothing',
];

export function showRoute(route: Route, plan: Client['plan']): void {
  const depth = plan.segments.length;
  byId('summary').textContent = summarise(route, depth);
  const fallback = byId('fallback');
  fallback.hidden = route.fallback === null;
  const recovery = route.k === depth ? 'The device gave the answer' : 'Sent once more';
  fallback.textContent = route.fallback ? `${recovery}: ${route.fallback.message}` : '';
  showStrip(route, depth);
  showTime(route);
  showCandidates(route);
}

function summarise({ k, tier, timing, bytesUp, bytesDown, predicted }: Route, depth: number): string {
  const where =
    k === depth ? 'all on this device' : k === 0 ? 'all in the cloud' : `cut after segment ${k} of ${depth}`;
  const bytes = tier === null && bytesUp === 0 ? 'nothing sent' : `${bytesUp} bytes up, ${bytesDown} down`;
  const expected = predicted ? ` (${Math.round(predicted.totalMs)} predicted)` : '';
  return `${where}${tier ? `, as ${tier}` : ''} · ${Math.round(timing.totalMs)} ms${expected} · ${bytes}`;
}

function showStrip({ k, tier, bytesUp }: Route, depth: number): void {
  const parts: HTMLElement[] = [];
  for (let segment = 0; segment < depth; segment++) {
    if (segment === k) parts.push(part('cut', `${(bytesUp / 1024).toFixed(1)} kB ${tier ?? ''} →`));
    parts.push(part(segment < k ? 'device' : 'cloud', segment < k ? 'device' : 'cloud'));
  }
  byId('strip').replaceChildren(...parts);
}

function part(className: string, text: string): HTMLElement {
  const element = document.createElement('div');
  element.className = className;
  element.textContent = text;
  return element;
}

function showTime({ timing }: Route): void {
  const { preprocessMs, deviceMs, encodeMs, networkMs, server, totalMs } = timing;
  const stages: [string, number, string][] = [
    ['device', preprocessMs + deviceMs + encodeMs, 'var(--device)'],
    ['network', networkMs, 'var(--network)'],
    ['cloud', server?.totalMs ?? 0, 'var(--cloud)'],
  ];
  const known = stages.reduce((sum, [, ms]) => sum + ms, 0);
  stages.push(['waiting and page', Math.max(0, totalMs - known), 'var(--other)']);
  const bars = stages.map(([name, ms, colour]) => {
    const bar = document.createElement('div');
    bar.style.flex = `${ms} 0 0`;
    bar.style.background = colour;
    bar.title = `${name}: ${ms.toFixed(1)} ms`;
    return bar;
  });
  byId('time').replaceChildren(...bars);
  const legend = stages.map(([name, ms, colour]) => {
    const item = document.createElement('li');
    const swatch = document.createElement('i');
    swatch.style.background = colour;
    item.append(swatch, `${name} ${ms.toFixed(1)} ms`);
    return item;
  });
  byId('time-legend').replaceChildren(...legend);
}

const COLUMNS = 5;

/** The first decision is the one that had every choice; later ones only confirm or correct it on the way. */
function showCandidates({ decisions, k, tier }: Route): void {
  const first = decisions[0];
  if (!first) return;
  const candidates = first.candidates.map((candidate) => {
    const { totalMs, bytes } = candidate.predicted;
    const isChosen = candidate.k === k && candidate.tier === tier;
    return row(isChosen ? 'chosen' : '', [
      cutName(candidate.k),
      candidate.tier ?? 'on device',
      totalMs.toFixed(0),
      String(Math.round(bytes)),
      isChosen ? '✓' : '',
    ]);
  });
  const removed = first.removed.map((choice) =>
    row('removed', [cutName(choice.k), choice.tier ?? 'on device', choice.reason]),
  );
  document.querySelector('#candidates tbody')?.replaceChildren(...candidates, ...removed);
}

function cutName(k: number): string {
  return `${k} ${CUT_NAMES[k] ?? ''}`.trim();
}

function row(className: string, cells: readonly string[]): HTMLElement {
  const element = document.createElement('tr');
  element.className = className;
  for (const text of cells) {
    const cell = document.createElement('td');
    cell.textContent = text;
    element.append(cell);
  }
  // The last cell takes what columns are left.
  const last = element.lastElementChild as HTMLTableCellElement | null;
  if (last) last.colSpan = 1 + COLUMNS - cells.length;
  return element;
}
