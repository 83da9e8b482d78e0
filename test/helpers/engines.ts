/**
 * Browsers of other makes than Chromium, which no driver is at hand for: Firefox, and WebKit in the browser that comes with
 * WebKitGTK. They are started with an address; the page there does the rest (remote-page.ts).
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { temporaryFolder } from './processes.ts';

export type EngineName = 'firefox' | 'webkit';

export interface RunningBrowser {
  /** What it has written so far. */
  log(): string;
  close(): Promise<void>;
}

export interface EngineOptions {
  /** Variables of its process. */
  readonly environment?: Readonly<Record<string, string>>;
  /** Of Firefox, as about:config has them. */
  readonly settings?: Readonly<Record<string, unknown>>;
}

/** As Debian and Linux call this processor. */
const PROCESSOR = process.arch === 'arm64' ? 'aarch64' : 'x86_64';
const WEBKIT = `/usr/lib/${PROCESSOR}-linux-gnu/webkit2gtk-4.1/MiniBrowser`;
/** Vulkan in software, for WebGPU. */
const LAVAPIPE = `/usr/share/vulkan/icd.d/lvp_icd.${PROCESSOR}.json`;
const ENGINES: Readonly<
  Record<EngineName, { readonly paths: readonly string[]; readonly packages: readonly string[] }>
> = {
  firefox: { paths: ['/usr/bin/firefox-esr', LAVAPIPE], packages: ['firefox-esr', 'mesa-vulkan-drivers'] },
  webkit: { paths: [WEBKIT, '/usr/bin/Xvfb'], packages: ['webkit2gtk-driver', 'xvfb'] },
};

/** Nothing of its own on the network, no page of its own, and WebGPU, which it has on other systems than Linux. */
const FIREFOX_SETTINGS = {
  'app.update.auto': false,
  'browser.shell.checkDefaultBrowser': false,
  'datareporting.policy.dataSubmissionEnabled': false,
  'dom.webgpu.enabled': true,
  'gfx.webgpu.ignore-blocklist': true,
  'network.captive-portal-service.enabled': false,
  'network.connectivity-service.enabled': false,
  'toolkit.telemetry.server': '',
};

/** Whether it is there; installed with apt-get where it is not and that is allowed. Throws in CI where it cannot be had. */
export function hasEngine(name: EngineName): boolean {
  const { paths, packages } = ENGINES[name];
  const isThere = () => paths.every((path) => existsSync(path));
  if (isThere()) return true;
  if (process.getuid?.() === 0 && existsSync('/usr/bin/apt-get')) {
    process.stderr.write(`no ${name} found: installing it with apt-get ...\n`);
    const run = (...args: string[]) => spawnSync('apt-get', args, { stdio: ['ignore', 'ignore', 'inherit'] });
    run('update');
    run('install', '-y', '--no-install-recommends', ...packages);
    if (isThere()) return true;
  }
  const reason = `${name} is not here: apt-get install ${packages.join(' ')}`;
  if (process.env['CI'] === 'true') throw new Error(`browser tests cannot run: ${reason}`);
  process.stderr.write(`BROWSER TESTS ARE SKIPPED: ${reason}\n`);
  return false;
}

/** Opens the address in a browser with a profile of its own. */
export async function openIn(
  name: EngineName,
  url: string,
  { environment: more = {}, settings = {} }: EngineOptions = {},
): Promise<RunningBrowser> {
  const home = await temporaryFolder();
  const started: ChildProcess[] = [];
  let log = '';
  /** In a group of its own, which its helpers are in too. */
  const start = (command: string, args: readonly string[], environment: Readonly<Record<string, string>> = {}) => {
    const env = { ...process.env, HOME: home, ...environment, ...more };
    const child = spawn(command, args, { env, detached: true, stdio: ['ignore', 'pipe', 'pipe', 'pipe'] });
    for (const stream of [child.stdout, child.stderr]) stream?.on('data', (chunk) => (log += chunk));
    started.unshift(child);
    return child;
  };
  if (name === 'firefox') {
    const lines = Object.entries({ ...FIREFOX_SETTINGS, ...settings }).map(
      ([key, value]) => `user_pref("${key}", ${JSON.stringify(value)});`,
    );
    await writeFile(join(home, 'user.js'), lines.join('\n'));
    start('firefox-esr', ['--headless', '--no-remote', '--profile', home, url]);
  } else {
    const display = await displayOf(
      start('Xvfb', ['-displayfd', '3', '-screen', '0', '1280x900x24', '-nolisten', 'tcp']),
    );
    const quiet = { NO_AT_BRIDGE: '1', GTK_A11Y: 'none', GSETTINGS_BACKEND: 'memory', LIBGL_ALWAYS_SOFTWARE: '1' };
    start(WEBKIT, ['--enable-write-console-messages-to-stdout=true', url], { ...quiet, DISPLAY: display });
  }
  return {
    log: () => log,
    async close() {
      for (const child of started) await ended(child);
      await rm(home, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

/** Xvfb takes a number that is free, and writes it to its third descriptor. */
async function displayOf(server: ChildProcess): Promise<string> {
  let text = '';
  for await (const chunk of server.stdio[3] as Readable) {
    text += chunk;
    if (text.endsWith('\n')) return `:${text.trim()}`;
  }
  throw new Error('Xvfb did not start');
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.pid === undefined) return;
  const hasEnded = child.exitCode !== null || child.signalCode !== null;
  const exited = hasEnded || once(child, 'exit');
  try {
    // Also where it has crashed: its helpers may be left.
    process.kill(-child.pid, 'SIGKILL');
  } catch {
    // None is.
  }
  await exited;
}
