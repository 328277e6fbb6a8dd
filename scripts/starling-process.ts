import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

export interface StarlingProcessOptions {
  /** STARLING_HOME of the process. */
  readonly home: string;
  /** A command that runs another, put in front: `['ip', 'netns', 'exec', 'kitchen']`. It has to become that command. */
  readonly prefix?: readonly string[];
}

/** For a process to end after SIGTERM before it is killed. */
const STOP_MS = 10_000;

/** A command of the compiled command line in a process of its own, which ends with this one. */
export class StarlingProcess {
  /** Standard output and error so far, in the order in which they came. */
  output = '';
  readonly #name: string;
  readonly #child: ChildProcess;
  readonly #waiting = new Set<() => void>();
  #ended: string | undefined;

  /** @param args for example `['daemon', '--port', '0']` */
  constructor(args: readonly string[], { home, prefix = [] }: StarlingProcessOptions) {
    const main = fileURLToPath(new URL('../coordinator/cli/main.js', import.meta.url));
    const [command = '', ...rest] = [...prefix, process.execPath, main, ...args];
    this.#name = `starling ${args[0]}`;
    this.#child = spawn(command, rest, {
      env: { ...process.env, STARLING_HOME: home },
      // With a channel to its parent, a command of Starling ends when the parent is gone.
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    });
    const heard = (text: string): void => {
      this.output += text;
      this.#check();
    };
    this.#child.stdout?.setEncoding('utf8').on('data', heard);
    this.#child.stderr?.setEncoding('utf8').on('data', heard);
    this.#child.once('error', (error) => this.#end(error.message));
    // Unlike 'exit', after all output.
    this.#child.once('close', (code, signal) => this.#end(signal ?? `code ${code}`));
  }

  /** @throws Error when it did not start */
  get pid(): number {
    const { pid } = this.#child;
    if (pid === undefined) throw new Error(`${this.#name} did not start`);
    return pid;
  }

  /**
   * The first match in the output, that of before the call included.
   * @throws Error with the output when the process ends, or the time does, before there is one
   */
  waitFor(pattern: RegExp, timeoutMs: number): Promise<RegExpExecArray> {
    return new Promise((resolve, reject) => {
      const settle = (settled: () => void): void => {
        clearTimeout(timer);
        this.#waiting.delete(look);
        settled();
      };
      const fail = (why: string): void =>
        settle(() => reject(new Error(`${this.#name} ${why} before it wrote ${pattern}; it wrote:\n${this.output}`)));
      const look = (): void => {
        const match = pattern.exec(this.output);
        if (match !== null) settle(() => resolve(match));
        else if (this.#ended !== undefined) fail(`ended (${this.#ended})`);
      };
      const timer = setTimeout(() => fail(`took more than ${timeoutMs} ms`), timeoutMs);
      this.#waiting.add(look);
      look();
    });
  }

  /** Ends it, and resolves when it is gone. */
  async stop(): Promise<void> {
    if (this.#ended !== undefined) return;
    const closed = once(this.#child, 'close');
    this.#child.kill('SIGTERM');
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), STOP_MS);
    await closed;
    clearTimeout(timer);
  }

  /** Ends it at once, as a power cut does, and resolves when it is gone. */
  async kill(): Promise<void> {
    if (this.#ended !== undefined) return;
    const closed = once(this.#child, 'close');
    this.#child.kill('SIGKILL');
    await closed;
  }

  #end(how: string): void {
    this.#ended ??= how;
    this.#check();
  }

  #check(): void {
    for (const look of [...this.#waiting]) look();
  }
}
