import assert from 'node:assert/strict';
import { test } from 'node:test';
import { continuedPrompt } from '../../../../coordinator/generation/continued-prompt.ts';
import type { Message } from '../../../../coordinator/generation/conversation.ts';
import { StarlingError } from '../../../../daemon/errors.ts';

/** A prompt in which what stands between braces was typed. */
function marked(source: string): { text: string; typed: [number, number][] } {
  const typed: [number, number][] = [];
  let text = '';
  for (const [i, part] of source.split(/[{}]/).entries()) {
    if (i % 2 === 1) typed.push([text.length, text.length + part.length]);
    text += part;
  }
  return { text, typed };
}

const assistant = (content: Message['content']): Message => ({ role: 'assistant', content });
const cut = (source: string, final: Message | undefined) => continuedPrompt(marked(source), final).text;

test('a prompt that is continued ends with the text of its last message', () => {
  assert.equal(cut('<u>{Hi}</u><a>{Once upon}</a>\n', assistant('Once upon')), '<u>Hi</u><a>Once upon');
  assert.equal(cut('<a>{Once}</a>', assistant(' Once ')), '<a>Once');
  assert.equal(cut('<a>{Once }</a>', assistant('Once ')), '<a>Once ');
  assert.equal(cut('<a>{Yes}</a>', assistant('<think>Hm.</think>\nYes')), '<a>Yes');
  const parts = [{ type: 'text', text: 'a' } as const, { type: 'text', text: 'b' } as const];
  assert.equal(cut('<a>{ab}</a>', assistant(parts)), '<a>ab');
});

test('what cannot be continued is refused', () => {
  const refused = (final: Message | undefined, source: string, code: string): void =>
    assert.throws(
      () => cut(source, final),
      (error) => error instanceof StarlingError && error.code === code,
    );
  refused({ role: 'user', content: 'Hi' }, '<u>{Hi}', 'invalid_request');
  refused(assistant(' '), '<a>{ }', 'invalid_request');
  refused(undefined, '', 'invalid_request');
  refused({ ...assistant('a'), toolCalls: [] }, '<a>{a}', 'invalid_request');
  refused(assistant('Once'), '<a>Once</a>', 'template_failed');
  refused(assistant('Once'), '<a>{Once}</a>{Hi}', 'template_failed');
});
