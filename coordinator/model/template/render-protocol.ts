import { z } from 'zod';

/** The first message to the render process. */
export const renderSetup = z.object({
  source: z.string(),
  bosText: z.string(),
  eosText: z.string(),
  /** After this many milliseconds in one render the process ends itself, for when nobody is left to end it. */
  abandonMs: z.number(),
});
export type RenderSetup = z.infer<typeof renderSetup>;

export const renderRequest = z.object({
  id: z.number(),
  /** JSON of an object: the template's variables. */
  variables: z.string(),
  /** Milliseconds since 1970. */
  now: z.number(),
});
export type RenderRequest = z.infer<typeof renderRequest>;

export const renderReply = z.union([
  z.object({ ready: z.literal(true) }),
  /** `typed`: where the characters are that came with the request, [start, end) in UTF-16 units. */
  z.object({ id: z.number(), text: z.string(), typed: z.array(z.tuple([z.number(), z.number()])) }),
  /** `raised`: the template refused the messages with raise_exception(). */
  z.object({ id: z.number(), error: z.string(), raised: z.boolean() }),
]);
export type RenderReply = z.infer<typeof renderReply>;
