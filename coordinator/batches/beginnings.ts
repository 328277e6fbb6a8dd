/** Characters of a block; no more than a page of the KV cache has tokens, as whole pages are what prompts share. */
const BLOCK = 64;

/**
 * What a prompt begins with: a hash of each block of its text. Two that agree in their first n have the first n blocks
 * in common, but for a rare accident, which costs time and nothing else. A sixteenth of the text's size.
 * @param body of a request in any of the dialects
 */
export function beginningOf(body: Readonly<Record<string, unknown>>): Uint32Array {
  // In the order in which templates write them.
  const text = asText([body.tools, body.system ?? body.instructions, body.messages ?? body.prompt ?? body.input]);
  const blocks = new Uint32Array(Math.floor(text.length / BLOCK));
  for (let block = 0; block < blocks.length; block++) {
    let hash = 0x811c9dc5;
    // FNV-1a, by 16-bit characters.
    for (let at = block * BLOCK; at < (block + 1) * BLOCK; at++)
      hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
    blocks[block] = hash;
  }
  return blocks;
}

/** Nothing for what is nested too deeply to be written: no prompt is. */
function asText(parts: readonly unknown[]): string {
  try {
    return JSON.stringify(parts);
  } catch {
    return '';
  }
}

/**
 * Puts prompts with a beginning in common side by side, those with the longest closest, so that each beginning is
 * computed once and found in the prefix cache by all that share it: the order in which one walks through the tree of
 * the beginnings. Prompts of the same blocks keep their order.
 */
export function byBeginnings<T extends { readonly beginning: Uint32Array }>(prompts: readonly T[]): T[] {
  return [...prompts].sort((a, b) => compare(a.beginning, b.beginning));
}

function compare(a: Uint32Array, b: Uint32Array): number {
  const both = Math.min(a.length, b.length);
  for (let i = 0; i < both; i++) if (a[i] !== b[i]) return a[i]! - b[i]!;
  return a.length - b.length;
}
