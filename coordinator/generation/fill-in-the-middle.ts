import { StarlingError } from '../../daemon/errors.ts';
import type { InfillTokens } from '../model/tokenizer/infill-tokens.ts';
import type { TextCodec } from './text-codec.ts';

/** A file beside the one with the gap. */
export interface BesideFile {
  readonly name: string;
  readonly text: string;
}

/** A text that lacks something in its middle. */
export interface Gap {
  readonly before: string;
  readonly after: string;
  /** What else the model may know, the most telling last; none by default. */
  readonly files?: readonly BesideFile[];
}

/** A text to go on with, the token ids of one, or one with a gap to fill in. */
export type Prompt = string | readonly number[] | Gap;

/** llama.cpp's names for a repository and a file that nobody has named, and what it writes before text of no file. */
const REPOSITORY = 'myproject\n';
const FILE = 'filename\n';
const SNIPPET = '\n\n--- snippet ---\n\n';

/** Files beside a gap are left out, the first ones first, where they would take more of the context than this. */
const MOST_OF_CONTEXT = 0.75;

/**
 * Token ids with which a model is asked to fill in a gap, in llama.cpp's order: the prefix's mark and the text before
 * the gap, the suffix's and the text after it, and the mark of what the model is to write. Where there are files, they
 * come first, each after its name. Nothing in the texts becomes a control token.
 * @param contextLength most tokens of prompt and answer; the files heed it, while the text itself may be longer
 * @throws StarlingError unsupported_parameter where the model has no such tokens
 */
export function gapPrompt(
  codec: TextCodec,
  tokens: InfillTokens | null,
  { before, after, files = [] }: Gap,
  contextLength: number,
): number[] {
  if (tokens === null) {
    throw new StarlingError(
      'unsupported_parameter',
      "the model cannot fill in the middle of a text, as its vocabulary has no tokens for that; leave the 'suffix' out, or serve a model that was made for code",
      { param: 'suffix' },
    );
  }
  const textTokens = (text: string): number[] =>
    codec.encode(text, { addSpecial: false, parseSpecial: false, typed: [[0, text.length]] });
  const { prefix, suffix, middle, repository, file } = tokens;
  const start = codec.encode('', { addSpecial: true, parseSpecial: true });
  const gap = [prefix, ...textTokens(before), suffix, ...textTokens(after), middle];
  if (files.length === 0) return [...start, ...gap];

  const marked = (mark: number | null, text: string): number[] => (mark === null ? [] : [mark, ...textTokens(text)]);
  const head = [...start, ...marked(repository, REPOSITORY)];
  const own = [...marked(file, FILE), ...gap];
  const kept: number[][] = [];
  let room = Math.floor(contextLength * MOST_OF_CONTEXT) - head.length - own.length;
  for (const { name, text } of files.toReversed()) {
    const beside = [...(file === null ? textTokens(SNIPPET) : marked(file, `${name}\n`)), ...textTokens(text)];
    room -= beside.length;
    if (room < 0) break;
    kept.unshift(beside);
  }
  return [...head, ...kept.flat(), ...own];
}
