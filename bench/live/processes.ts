/** The gateway and the clients, each in a process of its own. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { BUNDLE_DIR, ROOT } from '../bundle.ts';
import { killer, startServer } from '../server-process.ts';
import { type Answer, type Ask, type ClientMessage, type ClientTask, OPEN } from './messages.ts';

/** `tandem serve` on the demo's bundle. */
export function startGateway(): Promise<{ url: string; kill(): Promise<void> }> {
  return startServer(join(ROOT, 'dist/bench/live/gateway-process.js'), BUNDLE_DIR);
}

export class ClientProcess {
  readonly kill: () => Promise<void>;
  private readonly child: ChildProcess;
  private readonly waiting: { resolve(answer: ClientMessage): void; reject(error: Error): void }[] = [];

  private constructor(child: ChildProcess) {
    this.child = child;
    this.kill = killer(child);
    const failAll = (why: string) => {
      for (const { reject } of this.waiting.splice(0)) reject(new Error(why));
    };
    child.on('message', (message: ClientMessage) => {
      if (message.type === 'failed') failAll(message.message);
      else this.waiting.shift()?.resolve(message);
    });
    child.on('close', (code) => failAll(`the client ended: ${code}`));
  }

  static async start(task: ClientTask): Promise<ClientProcess> {
    const child = fork(join(ROOT, 'dist/bench/live/client-process.js'), [JSON.stringify(task)]);
    const [message] = (await once(child, 'message')) as [ClientMessage];
    if (message.type !== 'ready') throw new Error(`the client did not start: ${JSON.stringify(message)}`);
    return new ClientProcess(child);
  }

  /** Connects anew, and fetches what the device needs. */
  async open(): Promise<void> {
    await this.tell(OPEN);
  }

  async ask(question: Ask): Promise<Answer> {
    const message = await this.tell(question);
    if (message.type !== 'answer') throw new Error(`expected an answer, got ${message.type}`);
    return message;
  }

  /** What comes back is in the order of what was told. */
  private tell(message: Ask | typeof OPEN): Promise<ClientMessage> {
    return new Promise((resolve, reject) => {
      this.waiting.push({ resolve, reject });
      this.child.send(message);
    });
  }
}
