import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  formatGrammar,
  type OutputFormat,
  OutputFormats,
} from '../../../../../coordinator/constraint/output-format.ts';
import { callFormat, withMarks } from '../../../../../coordinator/generation/tool-calls/call-format.ts';
import { harmony } from '../../../../../coordinator/generation/tool-calls/harmony.ts';
import { hermes } from '../../../../../coordinator/generation/tool-calls/hermes.ts';
import { mistral } from '../../../../../coordinator/generation/tool-calls/mistral.ts';
import { qwenCoder } from '../../../../../coordinator/generation/tool-calls/qwen-coder.ts';
import type { ToolUse } from '../../../../../coordinator/generation/tool-calls/tools.ts';
import { JSON_PIECES, pieceCodec } from '../../../../fixtures/piece-codec.ts';

const use = (choice: ToolUse['choice']): ToolUse => ({
  tools: [{ type: 'function', function: { name: 'look' } }],
  choice,
  parallel: true,
});
const JSON_OBJECT = { kind: 'json-object' } as const;

describe('the format of an answer that may hold calls', () => {
  it('is that of calls where they are required, or else leaves room for what is wanted', () => {
    const family = hermes('<tool_call>')!;
    assert.equal(callFormat(family, use('none'), JSON_OBJECT, false), JSON_OBJECT);
    for (const choice of ['required', { name: 'look' }] as const) {
      const format = callFormat(family, use(choice), JSON_OBJECT, false);
      assert.ok(format?.kind === 'calls' && format.otherwise === null && format.constraint.required);
    }
    const format = callFormat(family, use('auto'), JSON_OBJECT, false);
    assert.ok(format?.kind === 'calls' && format.otherwise === JSON_OBJECT);
    const free = callFormat(family, use('auto'), undefined, false);
    assert.ok(free?.kind === 'calls' && free.otherwise === null && !free.constraint.required);
    assert.equal(formatGrammar(free).root, 'root');
  });

  it('is told of messages where calls are in channels', () => {
    const family = harmony('<|channel|> functions.')!;
    const told = (choice: ToolUse['choice'], wanted?: OutputFormat) => {
      const format = callFormat(family, use(choice), wanted, false);
      assert.ok(format?.kind === 'channels');
      return [format.constraint.required, format.constraint.calls.map(({ name }) => name), format.answer];
    };
    assert.deepEqual(told('auto'), [false, ['look'], null]);
    assert.deepEqual(told('auto', JSON_OBJECT), [false, ['look'], JSON_OBJECT]);
    assert.deepEqual(told('required'), [true, ['look'], null]);
    assert.deepEqual(told({ name: 'look' }), [true, ['look'], null]);
    assert.equal(callFormat(family, use('none'), JSON_OBJECT, false), JSON_OBJECT);
  });

  it('cannot be that of calls in a message that is in its channel already', () => {
    const family = harmony('<|channel|> functions.')!;
    assert.equal(callFormat(family, use('auto'), JSON_OBJECT, true), JSON_OBJECT);
    assert.throws(() => callFormat(family, use('required'), undefined, true), {
      code: 'unsupported_parameter',
      param: 'tool_choice',
    });
    assert.equal(callFormat(hermes('<tool_call>')!, use('required'), undefined, true)?.kind, 'calls');
  });

  it('is none where calls have no form to be held to, and they cannot be required', () => {
    const family = qwenCoder('<tool_call> <function= <parameter=')!;
    assert.equal(callFormat(family, use('auto'), undefined, false), undefined);
    assert.equal(callFormat(family, use('none'), JSON_OBJECT, false), JSON_OBJECT);
    const refused = (choice: ToolUse['choice'], wanted: OutputFormat | undefined, param: string): void =>
      assert.throws(() => callFormat(family, use(choice), wanted, false), { code: 'unsupported_parameter', param });
    refused('required', undefined, 'tool_choice');
    refused('auto', JSON_OBJECT, 'tools');
  });

  it('is begun by the token of a mark that has no text of its own', () => {
    const codec = pieceCodec(JSON_PIECES);
    const mark = 1;
    assert.equal(codec.pieceBytes(mark).length, 0);
    const source = withMarks(codec, new Map([[mark, '[TOOL_CALLS]']]));
    const format = callFormat(mistral('[TOOL_CALLS]')!, use('required'), undefined, false)!;
    const constraint = new OutputFormats(source, codec.vocabSize).constraint(format);
    assert.equal(constraint.forced(), mark);
    const [next] = codec.encode('[', { addSpecial: false, parseSpecial: false });
    assert.equal(constraint.accept(mark)?.forced(), next);
  });
});
