import { runInNewContext } from 'node:vm';
import { ChatRendering } from './chat-rendering.ts';
import { RaisedException } from './jinja/errors.ts';
import { raw, type Str, typedRanges } from './jinja/text.ts';
import {
  type RenderReply,
  type RenderRequest,
  type RenderSetup,
  renderRequest,
  renderSetup,
} from './render-protocol.ts';

/*
 * The program of the render process. It is a process and not a worker thread because a template can make V8 abort the
 * whole process that holds it, whatever resourceLimits a thread was given.
 */

const MAX_ERROR_LENGTH = 1000;

let setup: RenderSetup | null = null;
let rendering: ChatRendering | null = null;

process.on('message', (message) => {
  if (setup === null) {
    setup = renderSetup.parse(message);
    reply({ ready: true });
    return;
  }
  reply(answer(setup, renderRequest.parse(message)));
});

function answer(current: RenderSetup, request: RenderRequest): RenderReply {
  const { id } = request;
  try {
    const result = timed(() => {
      rendering ??= new ChatRendering(current);
      return rendering.render(JSON.parse(request.variables), new Date(request.now));
    }, current.abandonMs);
    return { id, text: raw(result), typed: typedRanges(result) };
  } catch (thrown) {
    if ((thrown as { code?: unknown } | null)?.code === 'ERR_SCRIPT_EXECUTION_TIMEOUT') process.exit(1);
    const message = (thrown instanceof Error ? thrown.message : String(thrown)).slice(0, MAX_ERROR_LENGTH);
    return { id, error: message, raised: thrown instanceof RaisedException };
  }
}

/** Only node:vm can interrupt a loop from within its own thread. */
function timed(run: () => Str, timeout: number): Str {
  return runInNewContext('run()', { run }, { timeout }) as Str;
}

function reply(message: RenderReply): void {
  process.send?.(message);
}
