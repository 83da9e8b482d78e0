/** Whether a model can run here, asked before anything is fetched for it but its plan, in the platform's words for built-in models. */
import { messageOf } from '../shared/errors.ts';
import { baseUrl } from './base-url.ts';
import { bytesOf, neededFiles, webSource } from './download.ts';
import { readKeptPlan } from './file-store.ts';
import type { Host } from './host.ts';
import type { Availability } from './types.ts';

export async function availabilityOf(
  host: Host,
  url: string,
  model: string,
  signal?: AbortSignal,
): Promise<Availability> {
  const nothing = { bytesTotal: 0, bytesKept: 0 };
  signal?.throwIfAborted();
  try {
    const plan = await readKeptPlan(webSource(host, baseUrl(url), model, { signal }), host.files, host.clock);
    if (plan.segments.some(({ targets }) => !targets[host.target])) {
      const reason = `${model} has no segments for the target ${host.target}`;
      return { status: 'unavailable', reasons: [reason], ...nothing };
    }
    const all = neededFiles(host, plan);
    const kept = new Set(await host.files.names());
    const missing = all.filter(({ sha256 }) => !kept.has(sha256));
    const sizes = { bytesTotal: bytesOf(all), bytesKept: bytesOf(all) - bytesOf(missing) };
    const obstacle = host.obstacleTo?.(plan);
    if (obstacle) return { status: 'unavailable', reasons: [obstacle], ...sizes };
    if (missing.length === 0) return { status: 'available', reasons: [], ...sizes };
    const underWay = (await host.underWay?.()) ?? [];
    const isDownloading = missing.some(({ sha256 }) => underWay.includes(sha256));
    const reasons = [
      `${missing.length} of ${all.length} files are not here yet`,
      ...(host.savesData?.() ? ['the user asked to save data: they come when prepare() is called'] : []),
    ];
    return { status: isDownloading ? 'downloading' : 'downloadable', reasons, ...sizes };
  } catch (error) {
    signal?.throwIfAborted();
    return { status: 'unavailable', reasons: [messageOf(error)], ...nothing };
  }
}
