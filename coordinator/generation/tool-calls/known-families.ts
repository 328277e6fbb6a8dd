import { StarlingError } from '../../../daemon/errors.ts';
import { gemma } from './gemma.ts';
import { granite } from './granite.ts';
import { harmony } from './harmony.ts';
import { hermes } from './hermes.ts';
import { llama3 } from './llama3.ts';
import { mistral } from './mistral.ts';
import { qwenCoder } from './qwen-coder.ts';
import type { ToolCallFamily } from './tool-call-family.ts';

/** Each says whether a template is of its family. The first that does is the model's. */
const FAMILIES: readonly ((template: string) => ToolCallFamily | null)[] = [
  harmony,
  qwenCoder,
  hermes,
  mistral,
  granite,
  llama3,
  gemma,
];

/** How one model writes calls. */
export interface ToolCallForm {
  readonly family: ToolCallFamily;
  /** The family's marks that are tokens of the vocabulary, with their texts. */
  readonly tokens: ReadonlyMap<number, string>;
  /** The template leaves out the calls of a message; they have to stand in its text. */
  readonly callsInText: boolean;
}

/**
 * The form in which a model writes calls, by its chat template.
 * @param template Jinja
 * @param tokenId the id of the token of exactly this text, or null
 * @returns null for a model that cannot be offered tools: `refuseTools` says why
 */
export function toolCallForm(template: string, tokenId: (text: string) => number | null): ToolCallForm | null {
  for (const familyOf of FAMILIES) {
    const family = familyOf(template);
    if (family === null || !(takesTools(template) || family.messages.toldInText)) continue;
    const known = family.marks.flatMap((text) => {
      const id = tokenId(text);
      return id === null ? [] : [[id, text] as const];
    });
    // Only as tokens do marks of channels tell anything.
    if (family.syntax === 'channels' && known.length < family.marks.length) continue;
    return { family, tokens: new Map(known), callsInText: !template.includes('tool_calls') };
  }
  return null;
}

/** The error for a request with tools to a model without a form for calls; it names what is lacking. */
export function refuseTools(template: string): StarlingError {
  const why = takesTools(template)
    ? 'its chat template asks for calls in a form that is not known here'
    : 'its chat template has no place for tools';
  return new StarlingError(
    'unsupported_parameter',
    `the model cannot be offered tools: ${why}; leave 'tools' out, or serve another model`,
    { param: 'tools' },
  );
}

function takesTools(template: string): boolean {
  return /\btools\b/.test(template);
}
