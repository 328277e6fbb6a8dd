import assert from 'node:assert/strict';
import { test } from 'node:test';
import { pretokenizerNamed } from '../../../../../coordinator/model/tokenizer/pretokenizers.ts';
import { createTokenizer } from '../../../../../coordinator/model/tokenizer/tokenizer.ts';
import { readVocabulary, type VocabularyMetadata } from '../../../../../coordinator/model/tokenizer/vocabulary.ts';
import { StarlingError } from '../../../../../daemon/errors.ts';

const P = 'tokenizer.ggml.';

function metadata(values: Record<string, unknown>): VocabularyMetadata {
  const get = <T>(key: string): T => {
    if (!(key in values)) throw new StarlingError('model_invalid', `${key} is missing`);
    return values[key] as T;
  };
  return { has: (key) => key in values, string: get, strings: get, number: get, numbers: get, boolean: get };
}

const spm = {
  [`${P}model`]: 'llama',
  [`${P}tokens`]: ['<unk>', '<s>', '</s>', '▁a'],
  [`${P}scores`]: [0, 0, 0, -1],
  [`${P}token_type`]: [2, 3, 3, 1],
};
const bpe = {
  [`${P}model`]: 'gpt2',
  [`${P}pre`]: 'qwen2',
  [`${P}tokens`]: ['a', 'b', 'ab', '<|x|>'],
  [`${P}merges`]: ['a b'],
};

function without(values: Record<string, unknown>, name: string): Record<string, unknown> {
  return Object.fromEntries(Object.entries(values).filter(([key]) => key !== P + name));
}

function refuses(values: Record<string, unknown>, code: string, message: RegExp): void {
  assert.throws(
    () => readVocabulary(metadata(values)),
    (error: unknown) => error instanceof StarlingError && error.code === code && message.test(error.message),
  );
}

test('a SentencePiece file without ids and flags gets the usual ones', () => {
  const vocabulary = readVocabulary(metadata(spm));
  assert.deepEqual(
    { ...vocabulary, tokens: vocabulary.tokens.length, scores: [...(vocabulary.scores ?? [])] },
    {
      model: 'llama',
      pre: null,
      tokens: 4,
      scores: [0, 0, 0, -1],
      types: Int32Array.of(2, 3, 3, 1),
      merges: [],
      bos: 1,
      eos: 2,
      unk: 0,
      ends: [2],
      infill: { prefix: null, suffix: null, middle: null, repository: null, file: null },
      namesInfill: false,
      addBos: true,
      addSpacePrefix: true,
      stripsAfterSpecial: false,
      removeExtraSpaces: false,
      characterMap: null,
      warning: null,
    },
  );
});

test('a byte-level file states its ids; 2^32-1 is none', () => {
  const vocabulary = readVocabulary(
    metadata({ ...bpe, [`${P}bos_token_id`]: 0xffffffff, [`${P}eos_token_id`]: 3, [`${P}eot_token_id`]: 2 }),
  );
  assert.equal(vocabulary.bos, null);
  assert.equal(vocabulary.eos, 3);
  assert.deepEqual(vocabulary.ends, [3, 2]);
  assert.equal(vocabulary.addBos, false);
  assert.equal(vocabulary.addSpacePrefix, false);
  assert.equal(vocabulary.pre, pretokenizerNamed('qwen2'));
});

test('Llama 3 vocabularies add BOS unless told otherwise, under each of their names', () => {
  for (const pre of ['llama-bpe', 'llama3', 'llama-v3']) {
    const vocabulary = readVocabulary(metadata({ ...bpe, [`${P}pre`]: pre, [`${P}bos_token_id`]: 3 }));
    assert.equal(vocabulary.pre, pretokenizerNamed('llama-bpe'));
    assert.equal(vocabulary.addBos, true);
  }
  assert.equal(readVocabulary(metadata({ ...bpe, [`${P}pre`]: 'llama3', [`${P}add_bos_token`]: false })).addBos, false);
});

test("a missing pre-tokenizer is llama.cpp's default, with a warning", () => {
  for (const values of [without(bpe, 'pre'), { ...bpe, [`${P}pre`]: 'default' }]) {
    const vocabulary = readVocabulary(metadata(values));
    assert.equal(vocabulary.pre, pretokenizerNamed('default'));
    assert.match(vocabulary.warning ?? '', /does not say how its tokenizer cuts text/);
  }
});

test('kinds that are not supported are named, with those that are', () => {
  for (const kind of ['bert', 'rwkv', 'plamo2', 'no_vocab', 'constructor']) {
    refuses(
      { ...bpe, [`${P}model`]: kind },
      'model_unsupported_tokenizer',
      new RegExp(`'${kind}'.*'llama' \\(SentencePiece\\), 'gpt2' .*, 't5' `),
    );
  }
  refuses({ ...bpe, [`${P}pre`]: 'future' }, 'model_unsupported_tokenizer', /'future'.* gpt-2, .*llama-bpe, .*tekken/);
  refuses({ ...bpe, [`${P}pre`]: 'x\u001b[2J' }, 'model_unsupported_tokenizer', /'x\?\[2J'/);
});

test("a Unigram file has T5's ids and no BOS unless it says otherwise", () => {
  const values = { ...spm, [`${P}model`]: 't5' };
  const { bos, eos, unk, addBos, addSpacePrefix, removeExtraSpaces, characterMap } = readVocabulary(metadata(values));
  assert.deepEqual(
    { bos, eos, unk, addBos, addSpacePrefix, removeExtraSpaces, characterMap },
    { bos: null, eos: 1, unk: 2, addBos: false, addSpacePrefix: false, removeExtraSpaces: false, characterMap: null },
  );
  const all = readVocabulary(
    metadata({
      ...values,
      [`${P}add_space_prefix`]: true,
      [`${P}remove_extra_whitespaces`]: true,
      [`${P}precompiled_charsmap`]: Int8Array.of(1, -1),
    }),
  );
  assert.deepEqual([all.addSpacePrefix, all.removeExtraSpaces, all.characterMap], [true, true, Uint8Array.of(1, 255)]);
  assert.equal(readVocabulary(metadata({ ...spm, [`${P}precompiled_charsmap`]: [1] })).characterMap, null);
});

test("Phi-3's special tokens take white space after them; files say so only by what they are", () => {
  const strips = (values: Record<string, unknown>) => readVocabulary(metadata(values)).stripsAfterSpecial;
  assert.equal(strips(spm), false);
  assert.equal(strips({ ...spm, 'general.architecture': 'phi3' }), true);
  assert.equal(strips({ ...spm, 'general.name': 'My Phi-3 mini' }), true);
  assert.equal(strips({ ...bpe, 'general.architecture': 'phi3' }), false, 'Phi-4 mini has another tokenizer');
});

test('contradictions are refused', () => {
  refuses(without(spm, 'model'), 'model_invalid', /tokenizer\.ggml\.model is missing/);
  refuses(without(spm, 'tokens'), 'model_invalid', /tokens is missing/);
  refuses({ ...spm, [`${P}tokens`]: [] }, 'model_invalid', /has 0 entries/);
  refuses({ ...bpe, [`${P}tokens`]: ['a', 'x'.repeat(5000)] }, 'model_invalid', /entry 1 is longer/);
  assert.deepEqual([...(readVocabulary(metadata(without(spm, 'scores'))).scores ?? [])], [0, 0, 0, 0]);
  refuses({ ...spm, [`${P}scores`]: [0] }, 'model_invalid', /1 entries for 4 tokens/);
  refuses({ ...spm, [`${P}scores`]: [0, 0, Number.NaN, 0] }, 'model_invalid', /entry 2 is not a finite/);
  refuses({ ...spm, [`${P}token_type`]: [1] }, 'model_invalid', /token_type has 1 entries for 4/);
  refuses(without(bpe, 'merges'), 'model_invalid', /merges is missing/);
  refuses({ ...bpe, [`${P}add_bos_token`]: true }, 'model_invalid', /bos_token_id is missing/);
});

test('M17: an id beyond the vocabulary is passed over with a warning', () => {
  for (const id of [4, 0.5, -7, 2 ** 31]) {
    const vocabulary = readVocabulary(metadata({ ...bpe, [`${P}eos_token_id`]: id, [`${P}unknown_token_id`]: id }));
    assert.deepEqual([vocabulary.eos, vocabulary.unk], [null, null]);
    assert.match(
      vocabulary.warning ?? '',
      /eos_token_id is .*, but there are 4 tokens: none is used; .*unknown_token_id/,
    );
  }
  const usual = readVocabulary(metadata({ ...spm, [`${P}bos_token_id`]: 32_000 }));
  assert.equal(usual.bos, 1);
  const llama3 = readVocabulary(metadata({ ...bpe, [`${P}pre`]: 'llama3', [`${P}bos_token_id`]: 128_000 }));
  assert.deepEqual([llama3.bos, llama3.addBos], [null, true]);
});

test('M17: merges that merge nothing are passed over', () => {
  const { merges } = readVocabulary(metadata({ ...bpe, [`${P}merges`]: ['ab', 'a b', 'a ', ' a', '', 'b  a'] }));
  assert.deepEqual(merges, ['a b', 'b  a']);
});

test('M17: scores and types beyond the vocabulary are left out', () => {
  const { scores, types } = readVocabulary(
    metadata({ ...spm, [`${P}scores`]: [0, 0, 0, -1, -2, Number.NaN], [`${P}token_type`]: [2, 3, 3, 1, 1, 1] }),
  );
  assert.deepEqual(
    [[...(scores ?? [])], [...(types ?? [])]],
    [
      [0, 0, 0, -1],
      [2, 3, 3, 1],
    ],
  );
});

test('M4: no text ends before its answer, whatever the flags of training say', () => {
  const values = { ...spm, [`${P}add_eos_token`]: true, [`${P}add_sep_token`]: true };
  const tokenizer = createTokenizer(readVocabulary(metadata(values)));
  assert.deepEqual(tokenizer.encode('a', { addSpecial: true, parseSpecial: true }), [1, 3]);
  assert.deepEqual(tokenizer.encode('', { addSpecial: true, parseSpecial: true }), [1]);
  readVocabulary(metadata({ ...bpe, [`${P}add_eos_token`]: true }));
});

test('tokens for infill are those that the file names, by the newer name first', () => {
  const named = (values: Record<string, unknown>) => readVocabulary(metadata({ ...bpe, ...values })).infill;
  const nothing = { prefix: null, suffix: null, middle: null, repository: null, file: null };
  assert.deepEqual(named({}), nothing);
  const older = { [`${P}prefix_token_id`]: 0, [`${P}suffix_token_id`]: 1, [`${P}middle_token_id`]: 2 };
  assert.deepEqual(named(older), { ...nothing, prefix: 0, suffix: 1, middle: 2 });
  const newer = { [`${P}fim_pre_token_id`]: 3, [`${P}fim_suf_token_id`]: 2, [`${P}fim_mid_token_id`]: 1 };
  assert.deepEqual(named({ ...older, ...newer }), { ...nothing, prefix: 3, suffix: 2, middle: 1 });
  const files = { [`${P}fim_rep_token_id`]: 2, [`${P}fim_sep_token_id`]: 3 };
  assert.deepEqual(named({ ...older, ...files, [`${P}fim_pre_token_id`]: 9 }), {
    ...{ prefix: 0, suffix: 1, middle: 2 },
    ...{ repository: 2, file: 3 },
  });
});

test('M11: a file may name several ends of text', () => {
  const names = ['eot_token_id', 'eom_token_id', 'fim_pad_token_id', 'fim_rep_token_id', 'fim_sep_token_id'];
  for (const name of names) {
    assert.deepEqual(readVocabulary(metadata({ ...bpe, [P + name]: 2 })).ends, [2], name);
  }
  const vocabulary = readVocabulary(
    metadata({ ...bpe, [`${P}eos_token_id`]: 3, [`${P}eos_token_ids`]: [0, 2, 9, -1], [`${P}eot_token_id`]: 1 }),
  );
  assert.deepEqual(vocabulary.ends, [3, 1, 0, 2]);
  assert.match(vocabulary.warning ?? '', /eos_token_ids has 9, but there are 4 tokens: it is left out/);
  const tokenizer = createTokenizer(vocabulary);
  assert.deepEqual(
    [0, 1, 2, 3].filter((id) => tokenizer.isEndOfGeneration(id)),
    [0, 1, 2, 3],
  );
});
