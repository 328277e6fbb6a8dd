import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { ConstrainedCall } from '../../../../coordinator/constraint/call-grammar.ts';
import type { OutputFormat } from '../../../../coordinator/constraint/output-format.ts';
import { Answer, type GenerationRequest } from '../../../../coordinator/generation/answer.ts';
import { answerPieces } from '../../../../coordinator/generation/answer-pieces.ts';
import { Generator } from '../../../../coordinator/generation/generator.ts';
import { GREEDY } from '../../../../coordinator/generation/sampler.ts';
import { toolCallForm } from '../../../../coordinator/generation/tool-calls/known-families.ts';
import { reasoningForm } from '../../../../coordinator/model/reasoning-marks.ts';
import { createLogger } from '../../../../daemon/log.ts';
import { HashModel } from '../../../fixtures/hash-model.ts';
import { END, JSON_PIECES, pieceCodec } from '../../../fixtures/piece-codec.ts';
import { recite, tokenOf as tokenIn } from '../../../fixtures/recite.ts';
import { constraintsOver } from '../../../fixtures/write-constrained.ts';

const MARKS = ['<|start|>', '<|channel|>', '<|message|>', '<|end|>', '<|constrain|>'];
const WORDS = ['analysis', 'final', 'commentary', 'assistant', ' to=functions.', 'get', 'get_time', ' '];
/** What spells the beginnings of marks without being any. */
const SPELLED = ['<', '<|', ' <', ' <|', 'json<', 's<|', '|>', 'channel', 'message'];
const pieces = pieceCodec([...JSON_PIECES, ...WORDS, ...SPELLED, ...MARKS]);
const codec: typeof pieces = {
  ...pieces,
  encode: (text, options) =>
    text
      .split(/(<\|\w+\|>)/)
      .flatMap((part) => (MARKS.includes(part) ? [tokenOf(part)] : pieces.encode(part, options))),
};
const tokenOf = (text: string): number => tokenIn(pieces, text);
const constraintOf = await constraintsOver(codec, codec.vocabSize);
const idOf = (text: string): number | null => (MARKS.includes(text) ? tokenOf(text) : null);
const template = '{{ tools }} <|channel|> functions.';
const form = reasoningForm(template, idOf)!;
const calling = { form: toolCallForm(template, idOf)!, names: new Set(['get', 'get_time']), newId: String };

const callOf = (name: string, schema: Readonly<Record<string, unknown>>): ConstrainedCall => {
  const [prefix, suffix] = calling.form.family.shape!.call(name);
  return { name, prefix, schema: { ...schema, additionalProperties: false }, suffix };
};
const CALLS = [
  callOf('get', { properties: { city: { enum: ['Oslo', 'Rome'] } }, required: ['city'] }),
  callOf('get_time', { properties: {} }),
];
const format = (required: boolean, answer: OutputFormat | null = null, calls = CALLS): OutputFormat => ({
  kind: 'channels',
  constraint: { required, calls },
  answer,
});
const FOO: OutputFormat = { kind: 'regex', pattern: 'foo|true' };

const request = (fields: Partial<GenerationRequest>): GenerationRequest => ({
  promptTokens: [5],
  maxTokens: 200,
  sampling: GREEDY,
  stop: [],
  logprobs: null,
  reasoning: { form, opened: false },
  calling,
  ...fields,
});

/** What comes of a wish to write these tokens. */
function written(wanted: OutputFormat, liked: readonly string[], opened = false): string {
  const constraint = constraintOf(wanted);
  const answer = new Answer(request({ reasoning: { form, opened } }), codec, 400, constraint);
  return recite(answer, codec, liked, Array(60).fill('foo'));
}

const THOUGHT = ['<|channel|>', 'analysis', '<|message|>', '12', '<|end|>', '<|start|>', 'assistant'];
const FINAL = ['<|channel|>', 'final', '<|message|>'];
const PREAMBLE = ['<|channel|>', 'commentary', '<|message|>', ' the', '<|end|>', '<|start|>', 'assistant'];
const CALL = ['<|channel|>', 'commentary', ' to=functions.'];
const TIME = '<|channel|>commentary to=functions.get_time <|constrain|>json<|message|>{}';

describe('an answer in channels', () => {
  it('has its format in the last message, after any reasoning', () => {
    const only = format(false, FOO, []);
    const before = [...THOUGHT, ...THOUGHT, ...FINAL];
    assert.equal(written(only, [...before, 'true']), `${before.join('')}true`);
    assert.equal(written(only, ['12', 'final', '12', 'foo']), `${FINAL.join('')}foo`, 'headers are kept to');
    assert.equal(written(only, [...before, '', '<|end|>']).slice(before.join('').length), 'foo', 'no early end');
    assert.equal(
      written(only, ['12', ...THOUGHT.slice(4), ...FINAL], true),
      `12${[...THOUGHT.slice(4), ...FINAL].join('')}foo`,
    );
    assert.ok(!written(only, [...PREAMBLE, ...FINAL]).includes('commentary'));
  });

  it('has no end within reasoning, and no mark but its own', () => {
    const stray = [
      ...THOUGHT.slice(0, 4),
      '',
      '<|channel|>',
      '<|start|>',
      '<|message|>',
      ...THOUGHT.slice(4),
      ...FINAL,
    ];
    const text = written(format(false, FOO, []), stray);
    assert.equal(MARKS.map((mark) => text.split(mark).length - 1).join(), '1,2,2,1,0', text);
  });

  it('is text or calls with valid arguments where calls are up to the model', () => {
    const free = format(false);
    const said = [...THOUGHT, ...PREAMBLE];
    assert.equal(written(free, [...said, ...FINAL, '12', '']), `${[...said, ...FINAL].join('')}12`);
    assert.equal(written(free, [...said, ...CALL, 'get_time']), `${said.join('')}${TIME}`);
    const get = written(free, [...CALL, 'get', ' ', '<', '<|', 'json<', 'foo', '{}', '12']);
    assert.match(
      get,
      /^<\|channel\|>commentary to=functions\.get <\|constrain\|>json<\|message\|>\{"city": "(Oslo|Rome)"\}$/,
    );
  });

  it('is a call or keeps to its format where there are both', () => {
    const either = format(false, FOO);
    assert.equal(written(either, [...FINAL, '12', 'true']), `${FINAL.join('')}foo`);
    assert.equal(written(either, [...THOUGHT, ...CALL, 'get_time']), `${THOUGHT.join('')}${TIME}`);
    assert.ok(
      written(either, [...CALL.slice(0, 2), '<|message|>']).includes('commentary to=functions.'),
      'nothing said before',
    );
  });

  it('is a call, after any reasoning, where that is required', () => {
    const required = format(true, null, CALLS.slice(1));
    assert.equal(written(required, ['foo', 'commentary', ...FINAL]), TIME);
    const only = written(required, [...THOUGHT, 'foo', 'commentary']);
    assert.equal(only, `${THOUGHT.join('')}${TIME}`);
  });
});

describe('answers in channels, whatever the model', () => {
  const log = createLogger('silent', 'test');
  const model = new HashModel({ contextLength: 400, kvPages: 80, vocabSize: codec.vocabSize });
  const generator = new Generator({ model, codec, log });
  const logitBias = new Map([
    [tokenOf('<|end|>'), 3],
    [END, 2],
  ]);

  async function write(seed: number, wanted: OutputFormat): Promise<{ text: string; calls: string; reason: string }> {
    const told = { text: '', calls: '', reason: '' };
    const sampling = { ...GREEDY, temperature: 1, topP: 0.95, seed, logitBias };
    for await (const event of generator.generate(request({ sampling, format: wanted }))) {
      for (const piece of answerPieces(event)) {
        if (piece.type === 'text') told.text += piece.text;
        else if (piece.type === 'begin') told.calls += `${piece.name} `;
        else if (piece.type === 'arguments') told.calls += piece.delta;
        else if (piece.type === 'end') told.calls += piece.complete ? ';' : '!';
      }
      if (event.type === 'end') told.reason = event.finishReason;
    }
    return told;
  }

  it('are one valid call where that is required', async () => {
    const kinds = new Set<string>();
    for (let seed = 0; seed < 30; seed++) {
      const { text, calls, reason } = await write(seed, format(true));
      assert.match(calls, /^(get \{"city": "(Oslo|Rome)"\}|get_time \{\});$/);
      assert.deepEqual([text, reason], ['', 'tool_calls']);
      kinds.add(calls);
    }
    assert.equal(kinds.size, 3);
  });

  it('are a valid call or what the format wants, which may also be asked for alone', async () => {
    let called = 0;
    for (let seed = 0; seed < 12; seed++) {
      const { text, calls, reason } = await write(seed, format(false, FOO));
      if (reason === 'length') continue;
      if (reason === 'stop') assert.deepEqual([/^(foo|true)$/.test(text), calls], [true, '']);
      else assert.match(calls, /^(get \{"city": "(Oslo|Rome)"\}|get_time \{\});$/);
      if (reason === 'tool_calls') called++;
      const alone = await write(seed, FOO);
      assert.match(alone.text, alone.reason === 'length' ? /^$/ : /^(foo|true)$/);
    }
    assert.ok(called > 0 && called < 12, String(called));
  });
});
