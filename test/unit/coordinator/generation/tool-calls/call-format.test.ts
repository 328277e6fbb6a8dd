import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { formatGrammar } from '../../../../../coordinator/constraint/output-format.ts';
import { callFormat, withMarks } from '../../../../../coordinator/generation/tool-calls/call-format.ts';
import { harmony } from '../../../../../coordinator/generation/tool-calls/harmony.ts';
import { hermes } from '../../../../../coordinator/generation/tool-calls/hermes.ts';
import { llama3 } from '../../../../../coordinator/generation/tool-calls/llama3.ts';
import { mistral } from '../../../../../coordinator/generation/tool-calls/mistral.ts';
import type { ToolUse } from '../../../../../coordinator/generation/tool-calls/tools.ts';
import { JSON_PIECES, pieceCodec } from '../../../../fixtures/piece-codec.ts';
import { constraintsOver } from '../../../../fixtures/write-constrained.ts';

const use = (choice: ToolUse['choice']): ToolUse => ({
  tools: [{ type: 'function', function: { name: 'look' } }],
  choice,
  parallel: true,
});
const JSON_OBJECT = { kind: 'json-object' } as const;

describe('the format of an answer that may hold calls', () => {
  it('is that of calls where they are required, or else leaves room for what is wanted', () => {
    const family = hermes('<tool_call>')!;
    assert.equal(callFormat(family, use('none'), JSON_OBJECT), JSON_OBJECT);
    for (const choice of ['required', { name: 'look' }] as const) {
      const format = callFormat(family, use(choice), JSON_OBJECT);
      assert.ok(format?.kind === 'calls' && format.otherwise === null && format.constraint.required);
    }
    const format = callFormat(family, use('auto'), JSON_OBJECT);
    assert.ok(format?.kind === 'calls' && format.otherwise === JSON_OBJECT);
    const free = callFormat(family, use('auto'), undefined);
    assert.ok(free?.kind === 'calls' && free.otherwise === null && !free.constraint.required);
    assert.equal(formatGrammar(free).root, 'root');
  });

  it('is free where calls have no mark of their own, unless they are required', () => {
    const family = llama3('<|start_header_id|> "parameters": ')!;
    assert.equal(callFormat(family, use('auto'), undefined), undefined);
    assert.equal(callFormat(family, use('required'), undefined)?.kind, 'calls');
  });

  it('does not reach calls in channels: they are made freely, or refused', () => {
    const family = harmony('<|channel|> functions.')!;
    assert.equal(callFormat(family, use('auto'), undefined), undefined);
    assert.throws(() => callFormat(family, use('required'), undefined), {
      code: 'unsupported_parameter',
      param: 'tool_choice',
    });
    assert.throws(() => callFormat(family, use('auto'), JSON_OBJECT), {
      code: 'unsupported_parameter',
      param: 'tools',
    });
  });

  it('is begun by the token of a mark that has no text of its own', async () => {
    const codec = pieceCodec(JSON_PIECES);
    const mark = 1;
    assert.equal(codec.pieceBytes(mark).length, 0);
    const source = withMarks(codec, new Map([[mark, '[TOOL_CALLS]']]));
    const format = callFormat(mistral('[TOOL_CALLS]')!, use('required'), undefined)!;
    const constraint = (await constraintsOver(source, codec.vocabSize))(format);
    assert.equal(constraint.forced(), mark);
    const [next] = codec.encode('[', { addSpecial: false, parseSpecial: false });
    assert.equal(constraint.accept(mark)?.forced(), next);
  });
});
