import { Environment, Interpreter, parse, tokenize } from '@huggingface/jinja';
import { strftime } from './strftime.ts';

type Program = ReturnType<typeof parse>;

const MAX_RANGE = 100_000;

/** Parses a chat template with the options that transformers uses. Throws the library's SyntaxError. */
export function parseTemplate(source: string): Program {
  return parse(tokenize(source, { lstrip_blocks: true, trim_blocks: true }));
}

/**
 * Renders a parsed template. Runs in the render process only: a hostile template can loop for ever or eat all memory.
 * @param variables what the template sees besides the functions below
 * @param now the moment that strftime_now() tells, in local time
 */
export function renderTemplate(program: Program, variables: ReadonlyMap<string, unknown>, now: Date): string {
  const scope = new Map<string, unknown>([
    ...variables,
    ['true', true],
    ['false', false],
    ['none', null],
    ['True', true],
    ['False', false],
    ['None', null],
    ['range', range],
    [
      'raise_exception',
      (message: unknown) => {
        throw new Error(String(message));
      },
    ],
    ['strftime_now', (format: unknown) => strftime(now, String(format))],
  ]);
  const environment = new Environment();
  for (const [name, value] of scope) environment.set(name, value);
  const result: unknown = new Interpreter(environment).run(program);
  const text = (result as { value?: unknown }).value;
  if (typeof text !== 'string') throw new Error('the template did not produce text');
  return text;
}

/** Python's range(). */
function range(first: number, second?: number, step = 1): number[] {
  const [start, stop] = second === undefined ? [0, first] : [first, second];
  if (step === 0) throw new Error('range() step must not be zero');
  const length = Math.max(0, Math.ceil((stop - start) / step));
  if (!(length <= MAX_RANGE)) throw new Error(`range() of ${length} numbers; at most ${MAX_RANGE} are allowed here`);
  return Array.from({ length }, (_, i) => start + i * step);
}
