import { fork } from 'node:child_process';
import { once } from 'node:events';
import { StarlingError } from '../daemon/errors.ts';

/** What a measured program is to do: both programs are given the same tokens. */
export interface DecodeTask {
  readonly model: string;
  readonly context: number;
  readonly threads: number;
  readonly prompt: readonly number[];
  /** Fed one by one after the prompt, whatever the model says. */
  readonly next: readonly number[];
}

/**
 * Before the clock runs, `prompt` is computed once and then `next` so many times over, each time as a text of its own,
 * for at most so long: weights and buffers have then been touched, and what runs in JavaScript is compiled, as in a
 * server.
 */
export interface WarmedTask extends DecodeTask {
  readonly warmUp: { readonly times: number; readonly ms: number };
}

/** With 32 tokens in `next` 64, or as many as two seconds allow. */
export const WARM_UP: WarmedTask['warmUp'] = { times: 2, ms: 2000 };

export interface DecodeTimes {
  /** From the prompt to the likeliest next token. */
  readonly prefill_ms: number;
  /** Of each fed token, to the likeliest one after it. */
  readonly token_ms: readonly number[];
}

/**
 * Runs a program in a process of its own, with `task` as JSON in its first argument.
 * @param file where it is
 * @param prefix a command that becomes the one after it: `['taskset', '-c', '0']`
 * @returns the one message that it sends: its times
 * @throws StarlingError internal when it ends without one
 */
export async function runChild<T extends object = DecodeTimes>(
  file: string,
  task: object,
  prefix: readonly string[] = [],
): Promise<T> {
  const [execPath = '', ...execArgv] = [...prefix, process.execPath];
  // What it writes is for people and must not get into the report.
  const child = fork(file, [JSON.stringify(task)], { execPath, execArgv, stdio: ['ignore', 2, 2, 'ipc'] });
  let times: T | undefined;
  child.on('message', (message) => {
    times = message as T;
  });
  // A message may be delivered after the exit, but not after the disconnection.
  const [[code, signal]] = await Promise.all([once(child, 'exit'), once(child, 'disconnect')]);
  if (code === 0 && times !== undefined) return times;
  throw new StarlingError('internal', `${file} ended with ${signal ?? `code ${code}`}; see above for why`);
}

/** Tokens per second of the prompt. */
export const prefillRate = (task: DecodeTask, times: DecodeTimes): number =>
  (task.prompt.length * 1000) / times.prefill_ms;
