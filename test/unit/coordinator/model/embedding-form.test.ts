import assert from 'node:assert/strict';
import { test } from 'node:test';
import { embeddingForm } from '../../../../coordinator/model/embedding-form.ts';
import { Metadata, type MetadataValue } from '../../../../coordinator/model/gguf/metadata.ts';
import { StarlingError } from '../../../../daemon/errors.ts';

const string = (value: string): MetadataValue => ({ kind: 'string', value });
const number = (value: number): MetadataValue => ({ kind: 'number', value });
const boolean = (value: boolean): MetadataValue => ({ kind: 'boolean', value });

function formOf(values: Readonly<Record<string, MetadataValue>>, tokenizer = 'gpt2') {
  const metadata = new Map(Object.entries(values))
    .set('general.architecture', string('qwen3'))
    .set('tokenizer.ggml.model', string(tokenizer));
  return embeddingForm(new Metadata('m.gguf', metadata), 7);
}

test('a file says how tokens are pooled, and whether a text ends with a token', () => {
  assert.deepEqual(formOf({}), { pooling: null, end: null });
  const pooled = [0, 1, 2, 3, 4, 99].map((type) => formOf({ 'qwen3.pooling_type': number(type) }).pooling);
  assert.deepEqual(pooled, [null, 'mean', 'other', 'last', 'other', 'other']);
  assert.equal(formOf({ 'tokenizer.ggml.add_eos_token': boolean(true) }).end, 7);
  assert.equal(formOf({}, 't5').end, 7);
  assert.equal(formOf({ 'tokenizer.ggml.add_eos_token': boolean(false) }, 't5').end, null);
});

test('a value of another type is refused by its name', () => {
  assert.throws(
    () => formOf({ 'qwen3.pooling_type': string('mean') }),
    (error) => error instanceof StarlingError && error.code === 'model_invalid' && /pooling_type/.test(error.message),
  );
});
