import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AnswerPrinter } from '../../../../coordinator/cli/answer-printer.ts';

const PARTS = [
  { reasoning: 'Hm', text: '' },
  { reasoning: '.', text: '' },
  { reasoning: '', text: 'Ye' },
  { reasoning: '', text: 's.' },
];

function printed(isTerminal: boolean, parts = PARTS): string {
  let out = '';
  const printer = new AnswerPrinter((text) => {
    out += text;
  }, isTerminal);
  for (const part of parts) printer.print(part);
  return out;
}

test('reasoning is dimmed on a terminal, and is nowhere else', () => {
  assert.equal(printed(true), '\x1b[2mHm\x1b[22m\x1b[2m.\x1b[22m\n\nYes.');
  assert.equal(printed(false), 'Yes.');
  assert.equal(printed(true, PARTS.slice(2)), 'Yes.');
});
