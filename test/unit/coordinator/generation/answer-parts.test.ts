import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { AnswerParts } from '../../../../coordinator/generation/answer-parts.ts';
import { StopSequences } from '../../../../coordinator/generation/stop-sequences.ts';
import { type ReasoningForm, reasoningForm } from '../../../../coordinator/model/reasoning-marks.ts';
import { Random } from '../../../fixtures/random.ts';

/** Ids of marks as tokens. */
const IDS: readonly string[] = ['<think>', '</think>', '<|start|>', '<|channel|>', '<|message|>', '<|end|>'];
const idOf = (text: string): number | null => (IDS.includes(text) ? IDS.indexOf(text) : null);

const TEXT_MARKS = reasoningForm('</think> <response>', () => null)!;
const TOKEN_MARKS = reasoningForm('</think>', (text) => (text.includes('|') ? null : idOf(text)))!;
const CHANNELS = reasoningForm('<|channel|>', idOf)!;

interface Whole {
  readonly reasoning: string;
  readonly text: string;
  readonly reasoningTokens: number;
}

/** @param pieces texts of tokens; those of marks are the marks' tokens, and all others have no meaning */
function whole(form: ReasoningForm, pieces: readonly string[], opened = false, stops: readonly string[] = []): Whole {
  const parts = new AnswerParts({ form, opened }, null);
  const stop = new StopSequences(stops);
  let [reasoning, text] = ['', ''];
  const add = (part: { reasoning: string; text: string }): void => {
    reasoning += part.reasoning;
    text += part.text;
  };
  let stopped = false;
  for (const piece of pieces) {
    parts.draw(idOf(piece) ?? 1000, piece);
    const result = stop.push(piece);
    add(parts.take(result.text));
    stopped = result.stop !== null;
    if (stopped) break;
  }
  add(parts.end(stopped ? '' : stop.flush()));
  return { reasoning, text, reasoningTokens: parts.reasoningTokens };
}

const texts = (form: ReasoningForm, pieces: readonly string[], opened = false, stops: readonly string[] = []) => {
  const { reasoning, text } = whole(form, pieces, opened, stops);
  return [reasoning, text];
};

/** All pairs of places to cut a text at. */
function cuts(text: string): string[][] {
  const all: string[][] = [];
  for (let i = 0; i <= text.length; i++) {
    for (let j = i; j <= text.length; j++) all.push([text.slice(0, i), text.slice(i, j), text.slice(j)]);
  }
  return all;
}

const ANSWERS: readonly (readonly [written: string, opened: boolean, reasoning: string, text: string])[] = [
  ['<think>\nHm, so.\n</think>\n\nYes.\n', false, 'Hm, so.', 'Yes.\n'],
  ['\n\n <think>Hm</think>Yes', false, 'Hm', 'Yes'],
  ['Hm, so.\n</think>\n\nYes.', true, 'Hm, so.', 'Yes.'],
  ['\n</think>\n\nYes.', true, '', 'Yes.'],
  ['Yes.\n <think>no</think>', false, '', 'Yes.\n <think>no</think>'],
  ['<think>a < b </thin </think>c</think>', false, 'a < b </thin', 'c</think>'],
  ['<think>a <think> b</think>c', false, 'a <think> b', 'c'],
  ['<think>never closed \n', false, 'never closed', ''],
  ['<think>nearly closed</thi', false, 'nearly closed</thi', ''],
  ['\n<thi', false, '', '\n<thi'],
  ['</think>Yes', false, '', '</think>Yes'],
  [' \n', false, '', ' \n'],
  ['<think>a\n\n b</think> \n', false, 'a\n\n b', ''],
  ['<think>a</think>\n<response> Yes. </response>', false, 'a', 'Yes.'],
  ['<think>a</think>\n<respond> Yes.', false, 'a', '<respond> Yes.'],
  ['<think>a</think>Yes <response>b</response>', false, 'a', 'Yes <response>b</response>'],
];

describe('enclosed reasoning', () => {
  it('is told apart however its text is cut into pieces', () => {
    for (const [written, opened, reasoning, text] of ANSWERS) {
      for (const pieces of [[...written], ...cuts(written)]) {
        assert.deepEqual(texts(TEXT_MARKS, pieces, opened), [reasoning, text], JSON.stringify(pieces));
      }
    }
  });

  it('is told apart by tokens alone where the marks are tokens', () => {
    const spelled = ['</th', 'ink>'];
    assert.deepEqual(texts(TOKEN_MARKS, ['<think>', '\n', 'Hm', ...spelled, '.\n', '</think>', '\n\n', 'Yes']), [
      'Hm</think>.',
      'Yes',
    ]);
    assert.deepEqual(texts(TOKEN_MARKS, ['<th', 'ink>', 'a', '</think>']), ['', '<think>a</think>']);
    assert.deepEqual(texts(TOKEN_MARKS, ['Hm', '</think>', 'Yes', '<think>', '!'], true), ['Hm', 'Yes<think>!']);
    // Bytes of an unfinished character come out with the mark.
    const parts = new AnswerParts({ form: TOKEN_MARKS, opened: true }, null);
    parts.draw(1000, '');
    parts.draw(1, '\ufffd</think>');
    assert.deepEqual(parts.take('\ufffd</think>'), { reasoning: '\ufffd', text: '' });
    assert.equal(parts.reasoningTokens, 2);
  });

  it('is streamed: only what may become a mark is held back, and whitespace that may end it', () => {
    const parts = new AnswerParts({ form: TEXT_MARKS, opened: false }, null);
    const stream = ['<thi', 'nk>\n', 'Hm', ' \n', 'so <', '/', 'b', '</think', '>', '\n', 'Yes', ' <'].map((piece) => {
      parts.draw(1000, piece);
      const { reasoning, text } = parts.take(piece);
      return [reasoning, text];
    });
    assert.deepEqual(
      stream.map(([reasoning]) => reasoning),
      ['', '', 'Hm', '', ' \nso', '', ' </b', '', '', '', '', ''],
    );
    assert.deepEqual(
      stream.map(([, text]) => text),
      ['', '', '', '', '', '', '', '', '', '', 'Yes', ' <'],
    );
  });
});

describe('reasoning in a channel', () => {
  const analysis = ['<|channel|>', 'analysis', '<|message|>', 'Hm', ', so.', '<|end|>', '<|start|>', 'assistant'];
  const final = ['<|channel|>', 'final', '<|message|>', 'Yes', '.'];

  it('is told from what is in other channels', () => {
    assert.deepEqual(texts(CHANNELS, [...analysis, ...final]), ['Hm, so.', 'Yes.']);
    assert.deepEqual(texts(CHANNELS, final), ['', 'Yes.']);
    assert.deepEqual(texts(CHANNELS, [...analysis.slice(3), ...final], true), ['Hm, so.', 'Yes.']);
    assert.deepEqual(texts(CHANNELS, analysis), ['Hm, so.', '']);
    assert.deepEqual(texts(CHANNELS, analysis.slice(0, 2)), ['', '']);
    const call = ['<|channel|>', 'comm', 'entary to=f ', '<|constrain|>', 'json', '<|message|>', '{}'];
    assert.deepEqual(texts(CHANNELS, [...analysis, ...call]), ['Hm, so.', '{}']);
    assert.deepEqual(texts(CHANNELS, [...analysis, ...analysis, ...final, '<|end|>', ...final]), [
      'Hm, so.\n\nHm, so.',
      'Yes.\n\nYes.',
    ]);
  });

  it('loses no text of a model that keeps to no channel, and takes only tokens for marks', () => {
    assert.deepEqual(texts(CHANNELS, ['Yes', '.']), ['', 'Yes.']);
    assert.deepEqual(texts(CHANNELS, [...analysis.slice(0, 6), 'And yes.']), ['Hm, so.', 'And yes.']);
    const spelled = ['<|chan', 'nel|>analysis<|mess', 'age|>'];
    assert.deepEqual(texts(CHANNELS, [...final, ...spelled]), ['', `Yes.${spelled.join('')}`]);
  });
});

describe('stop sequences and reasoning', () => {
  it('end a text wherever they are, as they would in text that is not taken apart', () => {
    assert.deepEqual(texts(TEXT_MARKS, ['<think>a', 'b</th', 'ink>Yes', ' or no'], false, ['or']), ['ab', 'Yes ']);
    assert.deepEqual(texts(TEXT_MARKS, ['<think>a', ' b', '</think>'], false, ['b']), ['a', '']);
    assert.deepEqual(texts(TOKEN_MARKS, ['<think>', 'a', '</think>', 'Yes'], false, ['k>Y']), ['a</thin', '']);
    assert.deepEqual(texts(TOKEN_MARKS, ['<think>', 'a', '</think>', 'No'], false, ['k>Y']), ['a', 'No']);
  });
});

describe('tokens of the reasoning', () => {
  it('are counted with its marks, and with nothing of the answer', () => {
    const count = (form: ReasoningForm, pieces: string[], opened = false, stops: string[] = []): number =>
      whole(form, pieces, opened, stops).reasoningTokens;
    assert.equal(count(TOKEN_MARKS, ['<think>', '\n', 'Hm', '\n', '</think>', '\n\n', 'Yes', '.']), 5);
    assert.equal(count(TOKEN_MARKS, ['Hm', '</think>', '\n\n', 'Yes'], true), 2);
    assert.equal(count(TOKEN_MARKS, ['Yes', '<think>', 'Hm', '</think>']), 0);
    assert.equal(count(TOKEN_MARKS, ['<think>', 'a', '', 'b'], false), 4);
    assert.equal(count(TOKEN_MARKS, ['<think>', 'a', 'b', 'c', 'd'], false, ['cd']), 5);
    assert.equal(count(TEXT_MARKS, ['<', 'think', '>', 'Hm', '</', 'think', '>', '\n', '<resp', 'onse>', 'Yes']), 7);
    const analysis = ['<|channel|>', 'analysis', '<|message|>', 'Hm', '<|end|>'];
    const final = ['<|start|>', 'assistant', '<|channel|>', 'final', '<|message|>', 'Yes', '.'];
    assert.equal(count(CHANNELS, [...analysis, ...final]), 5);
  });

  it('and text are the same however much stop sequences hold back', () => {
    const random = new Random(7);
    const pieces = ['<think>', '</think>', '\n', 'a', 'b ', '', '<', 'think>', 'Yes'];
    for (let round = 0; round < 2000; round++) {
      const text = Array.from({ length: 12 }, () => pieces[random.below(pieces.length)]!);
      for (const form of [TEXT_MARKS, TOKEN_MARKS]) {
        // None of these is ever complete.
        assert.deepEqual(
          whole(form, text, false, ['a\n\0', '>Yes\0', '</think>\0']),
          whole(form, text),
          text.join('·'),
        );
      }
    }
  });
});
