import type { Handler } from 'hono';
import { z } from 'zod';
import type { ApiContext } from '../../api-context.ts';
import { readJsonObject } from '../../json-body.ts';
import { validate } from '../../validation.ts';

const tokenizeBody = z.object({
  content: z.string(),
  add_special: z.boolean().nullish(),
  parse_special: z.boolean().nullish(),
  with_pieces: z.boolean().nullish(),
});
const detokenizeBody = z.object({ tokens: z.array(z.int().min(0)) });

/** POST /tokenize: the tokens of a text, as numbers or with what each stands for: a text, or bytes that are none. */
export function tokenize({ service }: ApiContext): Handler {
  return async (c) => {
    const fields = validate(tokenizeBody, await readJsonObject(c));
    const tokens = service.tokenize(fields.content, {
      addSpecial: fields.add_special === true,
      parseSpecial: fields.parse_special !== false,
    });
    if (fields.with_pieces !== true) return c.json({ tokens });
    const described = tokens.map((id) => {
      const { text, bytes } = service.describeToken(id);
      return { id, piece: text.includes('\ufffd') ? [...bytes] : text };
    });
    return c.json({ tokens: described });
  };
}

/** POST /detokenize */
export function detokenize({ service }: ApiContext): Handler {
  return async (c) => {
    const { tokens } = validate(detokenizeBody, await readJsonObject(c));
    return c.json({ content: service.promptText(tokens, 'tokens') });
  };
}
