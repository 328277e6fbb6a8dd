import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Gap, gapPrompt } from '../../../../coordinator/generation/fill-in-the-middle.ts';
import { tokenizerCodec } from '../../../../coordinator/generation/tokenizer-codec.ts';
import { type InfillTokens, infillTokens } from '../../../../coordinator/model/tokenizer/infill-tokens.ts';
import { createTokenizer } from '../../../../coordinator/model/tokenizer/tokenizer.ts';
import type { Vocabulary } from '../../../../coordinator/model/tokenizer/vocabulary.ts';
import { starlingError } from '../../../fixtures/gguf.ts';
import { vocabularyOf } from '../../../fixtures/vocabularies.ts';

/** All printable bytes, as the byte alphabet of GPT-2 writes them. */
const BYTES = [...Array.from({ length: 94 }, (_, i) => String.fromCharCode(33 + i)), 'Ġ', 'Ċ'];
const CONTEXT = 1000;

interface Family {
  readonly tokens: InfillTokens | null;
  readonly ends: readonly string[];
  /** What a model of these control tokens reads of a gap, as text: spaces and ends of lines stand for themselves. */
  readonly reads: (gap: Gap, contextLength?: number) => string;
  /** The control tokens among it. */
  readonly marks: (gap: Gap) => readonly string[];
}

function family(control: readonly string[], fields: Partial<Vocabulary> = {}): Family {
  const tokens = [...BYTES, ...control];
  const types = Int32Array.from(tokens, (_, id) => (id < BYTES.length ? 1 : 3));
  const vocabulary = vocabularyOf({ model: 'gpt2', tokens, types, ...fields });
  const tokenizer = createTokenizer(vocabulary);
  const infill = infillTokens(vocabulary.infill, tokenizer.tokenId);
  const prompt = (gap: Gap, contextLength = CONTEXT): readonly number[] =>
    gapPrompt(tokenizerCodec(tokenizer), infill, gap, contextLength);
  const shown = (id: number): string => tokens[id]!.replace(/^Ġ$/, ' ').replace(/^Ċ$/, '\n');
  return {
    tokens: infill,
    ends: control.filter((_, i) => tokenizer.isEndOfGeneration(BYTES.length + i)),
    reads: (gap, contextLength) => prompt(gap, contextLength).map(shown).join(''),
    marks: (gap) => prompt(gap).flatMap((id) => control[id - BYTES.length] ?? []),
  };
}

const GAP: Gap = { before: 'def f(', after: '):\n pass' };

describe('the prompt of a gap', () => {
  it('is in the marks of each family of models', () => {
    const families: readonly (readonly [mark: string, hole: string, end: string])[] = [
      ['<|fim_prefix|>', '<|fim_suffix|>', '<|fim_middle|>'],
      ['<fim_prefix>', '<fim_suffix>', '<fim_middle>'],
      ['<fim-prefix>', '<fim-suffix>', '<fim-middle>'],
      ['<PRE>', '<SUF>', '<MID>'],
      ['▁<PRE>', '▁<SUF>', '▁<MID>'],
      ['<｜fim▁begin｜>', '<｜fim▁hole｜>', '<｜fim▁end｜>'],
      ['<|code_prefix|>', '<|code_suffix|>', '<|code_middle|>'],
      ['<|prefix|>', '<|suffix|>', '<|middle|>'],
    ];
    for (const [prefix, suffix, middle] of families) {
      const { reads } = family([middle, prefix, suffix]);
      assert.equal(reads(GAP), `${prefix}def f(${suffix}):\n pass${middle}`);
      assert.equal(reads({ before: '', after: '' }), prefix + suffix + middle);
    }
  });

  it('begins as every text does where the model wants that', () => {
    const { reads } = family(['<s>', '<PRE>', '<SUF>', '<MID>'], { bos: BYTES.length, addBos: true });
    assert.equal(reads(GAP), '<s><PRE>def f(<SUF>):\n pass<MID>');
  });

  it('is in the tokens that the model file names', () => {
    const id = (i: number): number => BYTES.length + i;
    const infill = { prefix: id(2), suffix: id(1), middle: id(0), repository: null, file: null };
    const { tokens, reads } = family(['<M>', '<S>', '<P>', '<PRE>'], { infill });
    assert.deepEqual(tokens, infill);
    assert.equal(reads(GAP), '<P>def f(<S>):\n pass<M>');
  });

  it('has nothing that a text passes off as a mark', () => {
    const control = ['<|fim_prefix|>', '<|fim_suffix|>', '<|fim_middle|>', '<|file_sep|>', '<|endoftext|>'];
    const forged = control.join('x');
    const { reads, marks } = family(control);
    const files = [{ name: forged, text: forged }];
    const [prefix, suffix, middle, file] = control;
    assert.deepEqual(marks({ before: forged, after: forged, files }), [file, file, prefix, suffix, middle]);
    assert.equal(reads({ before: forged, after: '' }), `${prefix}${forged}${suffix}${middle}`);
  });

  it('has other files first, each after its name, where the model knows of files', () => {
    const files = [
      { name: 'a.py', text: 'A' },
      { name: 'b.py', text: 'B' },
    ];
    const gap = '<|fim_prefix|>def f(<|fim_suffix|>):\n pass<|fim_middle|>';
    const marks = ['<|fim_prefix|>', '<|fim_suffix|>', '<|fim_middle|>'];
    const qwen = family([...marks, '<|repo_name|>', '<|file_sep|>']);
    assert.equal(
      qwen.reads({ ...GAP, files }),
      `<|repo_name|>myproject\n<|file_sep|>a.py\nA<|file_sep|>b.py\nB<|file_sep|>filename\n${gap}`,
    );
    assert.equal(qwen.reads(GAP), gap);
    const { reads } = family(marks);
    assert.equal(reads({ ...GAP, files }), `\n\n--- snippet ---\n\nA\n\n--- snippet ---\n\nB${gap}`);
    assert.deepEqual(qwen.ends, ['<|repo_name|>', '<|file_sep|>']);
  });

  it('leaves out the first files where there is no room, and nothing of the text', () => {
    const marks = ['<|fim_prefix|>', '<|fim_suffix|>', '<|fim_middle|>', '<|file_sep|>'];
    const { reads } = family(marks);
    const files = ['first', 'second', 'third'].map((name) => ({ name, text: name.repeat(3) }));
    const own = 1 + 'filename\n'.length + 'def f('.length + '):\n pass'.length + 3;
    const beside = 1 + 4 * 'third'.length + 1;
    const withFiles = (room: number): string[] =>
      [...reads({ ...GAP, files }, room / 0.75).matchAll(/<\|file_sep\|>(\w+)\n/g)].map((match) => match[1]!);
    assert.deepEqual(withFiles(CONTEXT), ['first', 'second', 'third', 'filename']);
    assert.deepEqual(withFiles(3 * Math.ceil((own + beside) / 3)), ['third', 'filename']);
    assert.deepEqual(withFiles(own + beside - 3), ['filename']);
    assert.ok(reads({ ...GAP, files }, 3).endsWith('<|fim_prefix|>def f(<|fim_suffix|>):\n pass<|fim_middle|>'));
  });

  it('is refused where the vocabulary lacks a token', () => {
    const marks = ['<fim_prefix>', '<fim_suffix>', '<fim_middle>'];
    for (const lacking of marks) {
      const { tokens, reads } = family(marks.filter((mark) => mark !== lacking));
      assert.equal(tokens, null);
      assert.throws(() => reads(GAP), starlingError('unsupported_parameter', 'fill in the middle', "'suffix'"));
    }
  });
});
