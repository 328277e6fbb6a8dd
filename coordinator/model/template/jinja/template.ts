import { RaisedException, TemplateError } from './errors.ts';
import { hasFilter, hasTest } from './evaluator.ts';
import { globals } from './globals.ts';
import { Interpreter } from './interpreter.ts';
import { lateNames } from './late-names.ts';
import { parseTemplate } from './parser.ts';
import { Scope } from './scope.ts';
import type { Statement } from './syntax-tree.ts';
import type { Str } from './text.ts';
import { Undefined, type Value } from './values.ts';

/** A template that was read and can be rendered. */
export class Template {
  readonly #statements: readonly Statement[];
  readonly #late: ReadonlySet<string>;

  /**
   * @param source Jinja, in the form that transformers takes: trim_blocks, lstrip_blocks, loop controls, do, generation
   * @throws TemplateSyntaxError
   */
  constructor(source: string) {
    this.#statements = parseTemplate(source, { hasFilter, hasTest });
    this.#late = lateNames(this.#statements);
  }

  /**
   * The text for some variables. A hostile template can loop for ever: this runs where it can be ended.
   * @param now the moment that strftime_now() tells, in local time
   * @throws RaisedException when the template calls raise_exception()
   * @throws TemplateError with the line where it happened
   */
  render(variables: ReadonlyMap<string, Value>, now: Date): Str {
    const interpreter = new Interpreter();
    const root = new Map(variables);
    for (const name of this.#late) root.set(name, Undefined.variable(name));
    try {
      return interpreter.render(this.#statements, new Scope(new Scope(null, globals(now)), root));
    } catch (error) {
      if (error instanceof RaisedException) throw error;
      if (error instanceof TemplateError) throw new TemplateError(`line ${interpreter.line}: ${error.message}`);
      if (error instanceof RangeError)
        throw new TemplateError(`line ${interpreter.line}: nested too deep or too large`);
      throw error;
    }
  }
}
