/** Most texts before which an answer ends. */
export const MAX_STOPS = 16;
/** Characters of each of them. */
export const MAX_STOP_LENGTH = 1024;
/** Of whatever is counted: tokens, places, ids. */
export const MAX_COUNT = 2 ** 31 - 1;
/** Turns of a conversation. */
export const MAX_MESSAGES = 10_000;
/** Tools that a model is offered, and calls of one turn. */
export const MAX_TOOLS = 1024;
/** Characters of a name: of a model, a tool, a user. */
export const MAX_NAME = 512;
/** Texts that are embedded at a time, as at OpenAI. */
export const MAX_INPUTS = 2048;
