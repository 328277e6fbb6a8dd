import { runInNewContext } from 'node:vm';
import {
  type RenderReply,
  type RenderRequest,
  type RenderSetup,
  renderRequest,
  renderSetup,
} from './render-protocol.ts';
import { parseTemplate, renderTemplate } from './render-template.ts';

/*
 * The program of the render process. It is a process and not a worker thread because a template such as a list doubled
 * forty times makes V8 abort the whole process that holds it, whatever resourceLimits a thread was given.
 */

const MAX_ERROR_LENGTH = 1000;

let setup: RenderSetup | null = null;
let program: ReturnType<typeof parseTemplate> | null = null;

process.on('message', (message) => {
  if (setup === null) {
    setup = renderSetup.parse(message);
    reply({ ready: true });
    return;
  }
  reply(answer(setup, renderRequest.parse(message)));
});

function answer(current: RenderSetup, { id, variables, now }: RenderRequest): RenderReply {
  try {
    const text = timed(() => render(current, variables, now), current.abandonMs);
    // checked before anything reads the characters: a rope of half a gigabyte costs nothing until then
    if (text.length > current.maxOutputLength) {
      return { id, error: `the text it makes has more than ${current.maxOutputLength} characters` };
    }
    return { id, text };
  } catch (thrown) {
    if ((thrown as { code?: unknown } | null)?.code === 'ERR_SCRIPT_EXECUTION_TIMEOUT') process.exit(1);
    const message = thrown instanceof Error ? thrown.message : String(thrown);
    return { id, error: message.slice(0, MAX_ERROR_LENGTH) };
  }
}

function render(current: RenderSetup, variables: string, now: number): string {
  program ??= parseTemplate(current.source);
  const given = Object.entries(JSON.parse(variables) as Record<string, unknown>);
  const scope = new Map([...given, ['bos_token', current.bosText], ['eos_token', current.eosText]] as const);
  return renderTemplate(program, scope, new Date(now));
}

/** Only node:vm can interrupt a loop from within its own thread. */
function timed(run: () => string, timeout: number): string {
  return runInNewContext('run()', { run }, { timeout }) as string;
}

function reply(message: RenderReply): void {
  process.send?.(message);
}
