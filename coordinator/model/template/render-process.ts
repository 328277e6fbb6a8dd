import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { StarlingError } from '../../../daemon/errors.ts';
import type { TextRange } from '../tokenizer/special-tokens.ts';
import { type RenderReply, type RenderRequest, type RenderSetup, renderReply } from './render-protocol.ts';

/** Heap of the render process, MiB: a conversation of 4 million characters needs about 60. */
const HEAP_MB = 256;
/** What the process has resident with ordinary conversations; measured. */
export const RENDER_PROCESS_BYTES = 64e6;
/** A first start on a busy Raspberry Pi takes about two seconds. */
const START_LIMIT_MS = 20_000;

/** A text, and where the characters are that came with the request. */
export interface RenderedText {
  readonly text: string;
  readonly typed: readonly TextRange[];
}

interface Waiting {
  readonly id: number;
  settle(outcome: RenderedText | StarlingError): void;
}

/**
 * One child process that renders one template, a request at a time. It ends with the first request that is too slow or
 * kills it; the owner then makes a new one.
 */
export class RenderProcess {
  readonly #child: ChildProcess;
  readonly #limitMs: number;
  readonly #ready: Promise<void>;
  #setReady: (failure?: StarlingError) => void = () => {};
  #waiting: Waiting | null = null;
  #alive = true;

  constructor(setup: Omit<RenderSetup, 'abandonMs'>, limitMs: number) {
    this.#limitMs = limitMs;
    this.#child = fork(fileURLToPath(new URL('./template-worker.js', import.meta.url)), [], {
      execArgv: [`--max-old-space-size=${HEAP_MB}`],
      env: inheritedEnvironment(),
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    });
    this.#ready = new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.close();
        reject(failed(`its process did not start within ${START_LIMIT_MS / 1000} s`));
      }, START_LIMIT_MS);
      this.#setReady = (failure) => {
        clearTimeout(timer);
        if (failure === undefined) resolve();
        else reject(failure);
      };
    });
    // a failure is met by the request that waits for it
    this.#ready.catch(() => {});
    this.#child.on('message', (message) => this.#receive(renderReply.safeParse(message).data));
    this.#child.on('error', (error) => this.#end(`its process could not be run: ${error.message}`));
    this.#child.on('exit', (code, signal) =>
      this.#end(
        `its process ended (${signal ?? `exit code ${code}`}); it probably used more than ${HEAP_MB} MB of memory`,
      ),
    );
    // an idle process must not keep the program running; while a request waits, its timer does
    this.#child.unref();
    this.#child.channel?.unref();
    this.#send({ ...setup, abandonMs: limitMs * 2 });
  }

  /** False once it has ended and can render no more. */
  get alive(): boolean {
    return this.#alive;
  }

  /**
   * Renders once; the limit counts from when the process is up.
   * @throws StarlingError template_failed
   */
  async render(request: RenderRequest): Promise<RenderedText> {
    await this.#ready;
    if (!this.#alive) throw failed('its process has ended');
    return new Promise<RenderedText>((resolve, reject) => {
      const timer = setTimeout(() => this.#end(`it took longer than ${this.#limitMs / 1000} s`), this.#limitMs);
      this.#waiting = {
        id: request.id,
        settle: (outcome) => {
          clearTimeout(timer);
          this.#waiting = null;
          if (outcome instanceof StarlingError) reject(outcome);
          else resolve(outcome);
        },
      };
      this.#send(request);
    });
  }

  /** Ends the process at once. */
  close(): void {
    this.#end('it was closed');
  }

  #send(message: RenderSetup | RenderRequest): void {
    // a broken pipe is reported by 'exit'
    if (this.#alive) this.#child.send(message, () => {});
  }

  #receive(reply: RenderReply | undefined): void {
    if (reply === undefined) {
      this.#end('its process sent something unknown');
    } else if ('ready' in reply) {
      this.#setReady();
    } else if (this.#waiting?.id === reply.id) {
      if ('text' in reply) this.#waiting.settle({ text: reply.text, typed: reply.typed });
      else this.#waiting.settle(reply.raised ? refused(reply.error) : failed(reply.error));
    }
  }

  #end(reason: string): void {
    if (!this.#alive) return;
    this.#alive = false;
    this.#child.kill('SIGKILL');
    if (this.#child.connected) this.#child.disconnect();
    this.#setReady(failed(reason));
    this.#waiting?.settle(failed(reason));
  }
}

/** The time zone for strftime_now, and what Windows needs to start a process; no secrets. */
function inheritedEnvironment(): NodeJS.ProcessEnv {
  const names = ['TZ', 'SystemRoot', 'windir', 'TEMP', 'TMPDIR', 'LD_LIBRARY_PATH'];
  return Object.fromEntries(
    names.flatMap((name) => (process.env[name] === undefined ? [] : [[name, process.env[name]]])),
  );
}

function failed(reason: string): StarlingError {
  return new StarlingError(
    'template_failed',
    `the model's chat template failed: ${reason}; check the messages, or use a model file with another template`,
  );
}

/** What a template says with raise_exception() is about the messages. */
function refused(message: string): StarlingError {
  return new StarlingError('template_failed', `the model's chat template refuses the messages: ${message}`, {
    param: 'messages',
  });
}
