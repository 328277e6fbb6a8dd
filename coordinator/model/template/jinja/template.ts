import { RaisedException, TemplateError } from './errors.ts';
import { hasFilter, hasTest } from './evaluator.ts';
import { globals } from './globals.ts';
import { Interpreter } from './interpreter.ts';
import { parseTemplate } from './parser.ts';
import { Scope } from './scope.ts';
import type { Statement } from './syntax-tree.ts';
import type { Str } from './text.ts';
import type { Value } from './values.ts';

/** A template that was read and can be rendered. */
export class Template {
  readonly #statements: readonly Statement[];

  /**
   * @param source Jinja, in the form that transformers takes: trim_blocks, lstrip_blocks, loop controls, do, generation
   * @throws TemplateSyntaxError
   */
  constructor(source: string) {
    this.#statements = parseTemplate(source, { hasFilter, hasTest });
  }

  /**
   * The text for some variables. A hostile template can loop for ever: this runs where it can be ended.
   * @param now the moment that strftime_now() tells, in local time
   * @throws RaisedException when the template calls raise_exception()
   * @throws TemplateError with the line where it happened
   */
  render(variables: ReadonlyMap<string, Value>, now: Date): Str {
    const interpreter = new Interpreter();
    try {
      return interpreter.render(this.#statements, new Scope(new Scope(null, globals(now)), new Map(variables)));
    } catch (error) {
      if (error instanceof RaisedException) throw error;
      if (error instanceof TemplateError) throw new TemplateError(`line ${interpreter.line}: ${error.message}`);
      if (error instanceof RangeError)
        throw new TemplateError(`line ${interpreter.line}: nested too deep or too large`);
      throw error;
    }
  }
}
