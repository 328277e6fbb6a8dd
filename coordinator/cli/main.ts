#!/usr/bin/env node
import { INTERRUPTED, onEndRequest, onParentGone, watchTerminals } from './end-request.ts';
import { starling } from './starling.ts';

const closeLostTerminals = watchTerminals();
const ending = new AbortController();
const end = (): void => ending.abort();
// A daemon of a throw-away cluster ends with the process that started it.
onParentGone(end);
// A reader that has seen enough, such as "head", closes the pipe.
process.stdout.on('error', end);
process.stderr.on('error', () => {});
const { env, stdin, stdout, stderr } = process;
/** A parent that is gone ends this process by closing the channel. */
const tellParent = (message: object): void => void process.send?.(message, () => {});
process.exitCode = ending.signal.aborted
  ? INTERRUPTED
  : await starling(process.argv.slice(2), { env, stdin, stdout, stderr, ending, onEndRequest, tellParent });
// The IPC channel of a child would keep it alive.
if (process.connected) process.disconnect();
closeLostTerminals();
