import { type CallForm, callForm, hasCalls, inCallForm } from './call-form.ts';
import { type ContentForm, contentForm, inForm, type Message } from './content-form.ts';
import { Template } from './jinja/template.ts';
import type { Str } from './jinja/text.ts';
import { templateVariables } from './template-variables.ts';

/** A template and the texts of its model's tokens. */
export interface ChatSource {
  /** Jinja. */
  readonly source: string;
  readonly bosText: string;
  readonly eosText: string;
}

/** Renders conversations with one template, in the forms that it takes. Nothing bounds the time that takes. */
export class ChatRendering {
  readonly #template: Template;
  readonly #tokens: { readonly bos_token: string; readonly eos_token: string };
  #form: ContentForm | null = null;
  #calls: CallForm | null = null;

  /** @throws TemplateSyntaxError */
  constructor({ source, bosText, eosText }: ChatSource) {
    this.#template = new Template(source);
    this.#tokens = { bos_token: bosText, eos_token: eosText };
  }

  /**
   * @param given the template's variables as JSON values, `messages` among them
   * @throws what Template.render throws
   */
  render(given: Readonly<Record<string, unknown>> & { readonly messages: readonly Message[] }, now: Date): Str {
    this.#form ??= contentForm(this.#template, this.#tokens, now);
    if (given.messages.some(hasCalls)) this.#calls ??= callForm(this.#template, this.#tokens, now, this.#form);
    const messages = this.#calls === null ? given.messages : inCallForm(given.messages, this.#calls);
    const variables = { ...given, ...this.#tokens, messages: inForm(messages, this.#form) };
    return this.#template.render(templateVariables(variables), now);
  }
}
