import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { AnswerParts, type Calling } from '../../../../../coordinator/generation/answer-parts.ts';
import { answerPieces } from '../../../../../coordinator/generation/answer-pieces.ts';
import type { SplitText } from '../../../../../coordinator/generation/answer-split.ts';
import { StopSequences } from '../../../../../coordinator/generation/stop-sequences.ts';
import { toolCallForm } from '../../../../../coordinator/generation/tool-calls/known-families.ts';
import { reasoningForm } from '../../../../../coordinator/model/reasoning-marks.ts';

const MARKS = [
  '<think>',
  '</think>',
  '<|start|>',
  '<|channel|>',
  '<|message|>',
  '<|end|>',
  '[TOOL_CALLS]',
  '[ARGS]',
  '<tool_call>',
];
const idOf = (text: string): number | null => (MARKS.includes(text) ? MARKS.indexOf(text) : null);
/** Control tokens of calls are not shown. */
const shown = (piece: string): string => (piece.startsWith('[') && MARKS.includes(piece) ? '' : piece);

function callingOf(template: string): Calling {
  const form = toolCallForm(template, idOf);
  assert.ok(form !== null);
  return { form, names: new Set(['get', 'get_time']), newId: (index) => `id${index}` };
}

const MISTRAL = callingOf('{{ tools }} [TOOL_CALLS] [ARGS]');
const HERMES = callingOf('{{ tools }} <tool_call>');
const HARMONY = callingOf('{{ tools }} <|channel|> functions.');
const THINKING = reasoningForm('</think>', (text) => (text.includes('think') ? idOf(text) : null))!;
const CHANNELS = reasoningForm('<|channel|>', idOf)!;

/**
 * The parts of an answer as [reasoning, text, calls].
 * @param pieces texts of tokens; those of marks are the marks' tokens
 */
function parts(
  pieces: readonly string[],
  calling: Calling | null,
  reasoning = null as typeof THINKING | null,
  stops: readonly string[] = [],
): [reasoning: string, text: string, calls: string] {
  const split = new AnswerParts(reasoning === null ? null : { form: reasoning, opened: false }, calling);
  const stop = new StopSequences(stops);
  const whole: [string, string, string] = ['', '', ''];
  const add = (taken: SplitText): void => {
    for (const event of answerPieces(taken)) {
      if (event.type === 'reasoning') whole[0] += event.text;
      else if (event.type === 'text') whole[1] += event.text;
      else if (event.type === 'begin') whole[2] += `⟨${event.id}:${event.name} `;
      else whole[2] += event.type === 'arguments' ? event.delta : event.complete ? '⟩' : '!⟩';
    }
  };
  let stopped = false;
  for (const piece of pieces) {
    split.draw(idOf(piece) ?? 1000, shown(piece));
    const result = stop.push(shown(piece));
    add(split.take(result.text));
    stopped = result.stop !== null;
    if (stopped) break;
  }
  add(split.end(stopped ? '' : stop.flush()));
  return whole;
}

describe('marks of calls that are control tokens', () => {
  const answer = [
    'See',
    ':',
    '[TOOL_CALLS]',
    'get',
    '[ARGS]',
    '{"a"',
    ': 1}',
    '[TOOL_CALLS]',
    'get_time',
    '[ARGS]',
    '{}',
  ];

  it('are found although they have no text', () => {
    assert.deepEqual(parts(answer, MISTRAL), ['', 'See:', '⟨id0:get {"a": 1}⟩⟨id1:get_time {}⟩']);
    assert.deepEqual(parts(answer, null), ['', 'See:get{"a": 1}get_time{}', '']);
  });

  it('keep their place while stop sequences hold text back', () => {
    const whole = parts(answer, MISTRAL);
    assert.deepEqual(parts(answer, MISTRAL, null, [':get{"a": 2', 'See:get{"a": 1}get_time{}.']), whole);
    assert.deepEqual(parts(answer, MISTRAL, null, [': 1']), ['', 'See:', '⟨id0:get {"a"!⟩']);
  });
});

describe('an answer that comes in one piece', () => {
  const kinds = (text: string, calling: Calling, marks: readonly string[] = []): string => {
    const split = new AnswerParts(calling === HARMONY ? { form: CHANNELS, opened: false } : null, calling);
    const taken = [...marks, text].map((piece) => {
      split.draw(idOf(piece) ?? 1000, piece);
      return split.take(piece);
    });
    return [...taken, split.end('')]
      .flatMap(answerPieces)
      .map((piece) => (piece.type === 'text' ? piece.text : piece.type))
      .join(', ');
  };

  it('has text and calls in the order in which they were written', () => {
    const call = '<tool_call>{"name": "get", "arguments": {}}</tool_call>';
    const called = 'begin, arguments, end';
    assert.equal(kinds(`I look.${call}Done.`, HERMES), `I look., ${called}, Done.`);
    assert.equal(kinds(`${call}And${call}`, HERMES), `${called}, And, ${called}`);
    const marks = ['<|channel|>', 'commentary to=functions.get', '<|message|>'];
    assert.equal(kinds('{} So.', HARMONY, marks), `${called}, So.`);
  });

  it('keeps that order where several tokens become certain together', () => {
    const split = new AnswerParts(null, MISTRAL);
    const pieces = ['[TOOL_CALLS]', 'get', '{}', '.', '[TOOL_CALLS]', 'get', '{}'];
    for (const piece of pieces) split.draw(idOf(piece) ?? 1000, shown(piece));
    const told = answerPieces(split.take(pieces.map(shown).join(''))).map(({ type }) => type);
    assert.deepEqual(told, ['begin', 'arguments', 'end', 'text', 'begin', 'arguments', 'end']);
  });
});

describe('calls beside reasoning', () => {
  const call = ['<tool_call>', '\n{"name": "get", ', '"arguments": {}}', '\n</tool_call>'];

  it('follow it, and within it are none', () => {
    assert.deepEqual(parts(['<think>', 'Hm', '</think>', '\n\n', ...call], HERMES, THINKING), [
      'Hm',
      '',
      '⟨id0:get {}⟩',
    ]);
    assert.deepEqual(parts(['<think>', 'Hm', '</think>', '\n\n', 'Yes.\n', ...call], HERMES, THINKING), [
      'Hm',
      'Yes.',
      '⟨id0:get {}⟩',
    ]);
    const within = parts(['<think>', ...call, '</think>', 'Yes'], HERMES, THINKING);
    assert.deepEqual(within, [call.join(''), 'Yes', '']);
    const hidden = ['[TOOL_CALLS]', 'get', '[ARGS]', '{}'];
    assert.deepEqual(parts(['<think>', ...hidden, '</think>', 'Yes', ...hidden], MISTRAL, THINKING), [
      'get{}',
      'Yes',
      '⟨id0:get {}⟩',
    ]);
    assert.deepEqual(parts(['\n', ...hidden], MISTRAL, THINKING), ['', '', '⟨id0:get {}⟩']);
  });
});

describe('calls in channels', () => {
  const analysis = ['<|channel|>', 'analysis', '<|message|>', 'Hm', '<|end|>', '<|start|>', 'assistant'];
  const preamble = ['<|channel|>', 'commentary', '<|message|>', 'I look.', '<|end|>', '<|start|>', 'assistant'];
  const call = (name: string, args: string): string[] => [
    '<|channel|>',
    'commentary to=',
    `functions.${name} `,
    '<|constrain|>',
    'json',
    '<|message|>',
    args,
  ];

  it('are the messages to a function', () => {
    assert.deepEqual(parts([...analysis, ...call('get', '{"a": [1]}')], HARMONY, CHANNELS), [
      'Hm',
      '',
      '⟨id0:get {"a": [1]}⟩',
    ]);
    const both = [
      ...analysis,
      ...preamble,
      ...call('get', '{}'),
      '<|end|>',
      '<|start|>',
      'assistant',
      ...call('get_time', ' {}\n'),
    ];
    assert.deepEqual(parts(both, HARMONY, CHANNELS), ['Hm', 'I look.', '⟨id0:get {}⟩⟨id1:get_time {}⟩']);
    const named = ['<|start|>', 'assistant to=functions.get', '<|channel|>', 'commentary json', '<|message|>', '{}'];
    assert.deepEqual(parts([...analysis.slice(0, 5), ...named], HARMONY, CHANNELS), ['Hm', '', '⟨id0:get {}⟩']);
    assert.deepEqual(parts([' to=', 'functions.get', ...named.slice(2)], HARMONY, CHANNELS), ['', '', '⟨id0:get {}⟩']);
    assert.deepEqual(parts(['<|channel|>', 'analysis to=get', '<|message|>', '{}'], HARMONY, CHANNELS), [
      '',
      '',
      '⟨id0:get {}⟩',
    ]);
  });

  it('are streamed, however the arguments are cut', () => {
    const args = '{"a": "}\\"", "b": {"c": []}}';
    for (let at = 0; at <= args.length; at++) {
      const pieces = [...call('get', args.slice(0, at)), args.slice(at), ' ', '\n'];
      assert.deepEqual(parts(pieces, HARMONY, CHANNELS), ['', '', `⟨id0:get ${args}⟩`]);
    }
  });

  it('are text where they are none, and end incomplete where they break off', () => {
    assert.deepEqual(parts(call('other', '{}'), HARMONY, CHANNELS), ['', '{}', '']);
    assert.deepEqual(parts(call('get', 'print(1)'), HARMONY, CHANNELS), ['', 'print(1)', '']);
    assert.deepEqual(parts(call('get', '{"a'), HARMONY, CHANNELS), ['', '', '⟨id0:get {"a!⟩']);
    assert.deepEqual(parts([...call('get', '{"a'), '<|end|>'], HARMONY, CHANNELS), ['', '', '⟨id0:get {"a!⟩']);
    assert.deepEqual(parts([...call('get', "{'a'"), ': 1}'], HARMONY, CHANNELS), ['', "'a': 1}", '⟨id0:get {!⟩']);
    assert.deepEqual(parts([...call('get', '{}'), ' so'], HARMONY, CHANNELS), ['', 'so', '⟨id0:get {}⟩']);
    assert.deepEqual(parts(call('get', '{}'), null, CHANNELS), ['', '{}', ''], 'nothing was offered');
    for (const text of ['to be', ' t', ' to=', 'Yes'])
      assert.deepEqual(parts([...text], HARMONY, CHANNELS), ['', text, '']);
  });

  it('are no reasoning in the count of tokens', () => {
    const split = new AnswerParts({ form: CHANNELS, opened: false }, HARMONY);
    for (const piece of [...analysis, ...call('get', '{}')]) {
      split.draw(idOf(piece) ?? 1000, piece);
      split.take(piece);
    }
    split.end('');
    assert.equal(split.reasoningTokens, 5);
  });
});
