import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { CallConstraint } from '../../../../../coordinator/constraint/call-grammar.ts';
import { callConstraint, constrainedCalls } from '../../../../../coordinator/generation/tool-calls/call-constraint.ts';
import type { AnswerEvent } from '../../../../../coordinator/generation/tool-calls/call-events.ts';
import { CallSplit } from '../../../../../coordinator/generation/tool-calls/call-split.ts';
import { gemma } from '../../../../../coordinator/generation/tool-calls/gemma.ts';
import { granite } from '../../../../../coordinator/generation/tool-calls/granite.ts';
import { harmony } from '../../../../../coordinator/generation/tool-calls/harmony.ts';
import { hermes } from '../../../../../coordinator/generation/tool-calls/hermes.ts';
import { llama3 } from '../../../../../coordinator/generation/tool-calls/llama3.ts';
import { mistral } from '../../../../../coordinator/generation/tool-calls/mistral.ts';
import type { ToolCallFamily } from '../../../../../coordinator/generation/tool-calls/tool-call-family.ts';
import {
  type ChatTool,
  checkTools,
  offeredTools,
  type ToolUse,
} from '../../../../../coordinator/generation/tool-calls/tools.ts';
import { StarlingError } from '../../../../../daemon/errors.ts';
import { constraintOf as constraintFor, satisfies } from '../../../../fixtures/write-constrained.ts';

const SCHEMA = { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] };
const TOOLS: readonly ChatTool[] = [
  { type: 'function', function: { name: 'get_weather', parameters: SCHEMA } },
  { type: 'function', function: { name: 'get_time' } },
];
const use = (choice: ToolUse['choice'], parallel = true): ToolUse => ({ tools: TOOLS, choice, parallel });

const FAMILIES: readonly (ToolCallFamily | null)[] = [
  hermes('<tool_call>'),
  mistral('[TOOL_CALLS]'),
  mistral('[TOOL_CALLS] ['),
  mistral('[TOOL_CALLS] [ARGS]'),
  granite('<|tool_call|>'),
  llama3('<|start_header_id|> "parameters": '),
  gemma('<start_of_turn>'),
];

function constraintOf({ syntax, shape }: ToolCallFamily, wish: ToolUse): CallConstraint | null {
  assert.ok(syntax !== 'channels' && shape !== null);
  return callConstraint(syntax, shape, wish);
}

/** An answer that keeps to a constraint. */
function answer(constraint: CallConstraint, lead: string, calls: readonly [name: string, args: string][]): string {
  const written = calls.map(([name, args]) => {
    const call = constraint.calls.find((shape) => shape.name === name);
    return `${call?.prefix}${args}${call?.suffix}`;
  });
  return `${lead}${constraint.before}${written.join(constraint.separator ?? '')}${constraint.after}`;
}

function callsIn(family: ToolCallFamily, text: string): unknown[] {
  assert.ok(family.syntax !== 'channels');
  const split = new CallSplit(family.syntax, { names: new Set(['get_weather', 'get_time']), newId: String });
  const events: AnswerEvent[] = [...split.push(text), ...split.flush()];
  return events.map((event) => {
    if (event.type === 'begin') return event.name;
    if (event.type === 'end') return event.complete;
    return event.type === 'arguments' ? event.delta : event.text;
  });
}

describe('what a constraint lets through', () => {
  it('is read as calls, in every family', () => {
    for (const family of FAMILIES) {
      assert.ok(family);
      const constraint = constraintOf(family, use('auto'))!;
      const calls: [string, string][] = [['get_weather', '{"city": "Oslo"}']];
      if (constraint.separator !== null) calls.push(['get_time', '{}']);
      const expected = calls.flatMap(([name, args]) => [name, args, true]);
      const fences = constraint.fences?.begin.map((fence) => `${fence}\n`) ?? [];
      for (const lead of new Set([constraint.lead, constraint.trigger ?? '', ...fences])) {
        const text = answer(constraint, lead, calls);
        assert.deepEqual(callsIn(family, text), expected, `${family.name} ${lead}`);
        assert.ok(satisfies(constraintFor({ kind: 'calls', constraint, otherwise: null }), text), text);
      }
      const [opening = ''] = constraint.openings;
      assert.ok(constraint.calls.every(({ prefix }) => prefix.startsWith(opening)));
    }
  });

  it('is what the templates themselves write', () => {
    const written = (family: ToolCallFamily | null): string =>
      answer(constraintOf(family!, use('required'))!, constraintOf(family!, use('required'))!.lead, [
        ['get_time', '{"a": 1}'],
      ]);
    assert.deepEqual(FAMILIES.map(written), [
      '<tool_call>\n{"name": "get_time", "arguments": {"a": 1}}\n</tool_call>',
      '[TOOL_CALLS][{"name": "get_time", "arguments": {"a": 1}}]',
      '[TOOL_CALLS] [{"name": "get_time", "arguments": {"a": 1}}]',
      '[TOOL_CALLS]get_time[ARGS]{"a": 1}',
      '<|tool_call|>[{"name": "get_time", "arguments": {"a": 1}}]',
      '{"name": "get_time", "parameters": {"a": 1}}',
      '{"name": "get_time", "parameters": {"a": 1}}',
    ]);
    const [call] = constrainedCalls(harmony('<|channel|> functions.')!.shape!, use({ name: 'get_time' }));
    assert.equal(call?.prefix, '<|channel|>commentary to=functions.get_time <|constrain|>json<|message|>');
  });

  it('follows the choice', () => {
    const family = hermes('<tool_call>')!;
    const names = (choice: ToolUse['choice']) => constraintOf(family, use(choice))?.calls.map(({ name }) => name);
    assert.equal(constraintOf(family, use('none')), null);
    assert.equal(constraintOf(family, { tools: [], choice: 'auto', parallel: true }), null);
    assert.deepEqual(names('auto'), ['get_weather', 'get_time']);
    assert.deepEqual(names('required'), ['get_weather', 'get_time']);
    assert.deepEqual(names({ name: 'get_time' }), ['get_time']);
    assert.deepEqual(
      [use('auto'), use('required'), use({ name: 'get_time' })].map((wish) => constraintOf(family, wish)?.required),
      [false, true, true],
    );
    assert.equal(constraintOf(family, use('auto'))?.separator, '\n<tool_call>');
    assert.equal(constraintOf(family, use('auto', false))?.separator, null);
    assert.equal(constraintOf(family, use({ name: 'get_time' }))?.separator, null, 'one call of the function');
  });

  it('has the schema of the client, or that of no arguments', () => {
    const calls = constraintOf(hermes('<tool_call>')!, use('auto'))!.calls;
    assert.deepEqual(
      calls.map(({ schema }) => schema),
      [SCHEMA, { type: 'object', properties: {}, additionalProperties: false }],
    );
  });
});

describe('tools of a request', () => {
  const named = (...names: string[]): ChatTool[] => names.map((name) => ({ type: 'function', function: { name } }));
  const refused = (wish: ToolUse, message: RegExp): void => {
    assert.throws(
      () => checkTools(wish),
      (error) => error instanceof StarlingError && error.code === 'invalid_request' && message.test(error.message),
    );
  };

  it('are refused where they contradict themselves, by name', () => {
    checkTools(use('auto'));
    checkTools(use({ name: 'get_time' }));
    checkTools({ tools: [], choice: 'none', parallel: true });
    const auto = (tools: ChatTool[]): ToolUse => ({ tools, choice: 'auto', parallel: true });
    refused(auto(named('a', 'b', 'a')), /'tools\[2\].function.name' is "a" a second time/);
    for (const name of ['', 'a b', 'a"', 'x'.repeat(65), 'ü'])
      refused(auto(named(name)), /'tools\[0\].function.name' is .*use 1 to 64/);
    refused(auto(named(...Array.from({ length: 257 }, (_, i) => `f${i}`))), /'tools' has 257 tools/);
    refused(use({ name: 'other' }), /'tool_choice' names "other"/);
    refused({ tools: [], choice: 'required', parallel: true }, /'tool_choice' is "required"/);
  });

  it('are not told of with the choice "none"', () => {
    assert.deepEqual(offeredTools(use('none')), []);
    assert.deepEqual(offeredTools(use({ name: 'get_time' })), TOOLS);
  });
});
