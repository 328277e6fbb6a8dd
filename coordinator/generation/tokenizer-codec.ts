import { Detokenizer } from '../model/tokenizer/detokenizer.ts';
import type { Tokenizer } from '../model/tokenizer/tokenizer.ts';
import type { TextCodec } from './text-codec.ts';

/** A model's tokenizer as text generation uses it. Control tokens are not shown. */
export function tokenizerCodec(tokenizer: Tokenizer): TextCodec {
  return {
    encode: (text, options) => tokenizer.encode(text, options),
    isEndOfGeneration: (token) => tokenizer.isEndOfGeneration(token),
    pieceBytes: (token) => tokenizer.pieceBytes(token),
    createDetokenizer: ({ startOfText }) => new Detokenizer(tokenizer, { startOfText }),
  };
}
