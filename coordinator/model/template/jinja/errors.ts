/** A fault of a template, or of its meeting with what it was given: the message says which. */
export class TemplateError extends Error {}

/** A template that cannot be read, with the line of its source. */
export class TemplateSyntaxError extends TemplateError {
  readonly line: number;

  constructor(message: string, line: number) {
    super(`line ${line}: ${message}`);
    this.line = line;
  }
}

/** What a template said with raise_exception(): a judgement about the messages, not a fault of the template. */
export class RaisedException extends Error {}
