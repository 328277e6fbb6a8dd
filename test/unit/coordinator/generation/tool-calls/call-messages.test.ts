import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import type { ChatMessage, ChatToolCall } from '../../../../../coordinator/generation/text-codec.ts';
import { callMessages } from '../../../../../coordinator/generation/tool-calls/call-messages.ts';
import { type ToolCallForm, toolCallForm } from '../../../../../coordinator/generation/tool-calls/known-families.ts';
import type { ChatTool } from '../../../../../coordinator/generation/tool-calls/tools.ts';
import { ChatRendering } from '../../../../../coordinator/model/template/chat-rendering.ts';
import { raw } from '../../../../../coordinator/model/template/jinja/text.ts';
import { sharedData } from '../../../../fixtures/shared-data.ts';

const TOOLS: readonly ChatTool[] = [{ type: 'function', function: { name: 'get', description: 'Gets it.' } }];
const OFFERED: ChatTool = { type: 'function', function: { ...TOOLS[0]!.function, parameters: { properties: {} } } };
const call = (id: string, args: Record<string, unknown>): ChatToolCall => ({
  id,
  type: 'function',
  function: { name: 'get', arguments: args },
});
const result = (id: string, content: string): ChatMessage => ({ role: 'tool', tool_call_id: id, content });
/** The same with the name that it is given. */
const named = (message: ChatMessage | undefined): ChatMessage => ({ ...message!, name: 'get' });

/** Two calls at once, with their results in the other order. */
const TALK: readonly ChatMessage[] = [
  { role: 'user', content: 'Both?' },
  {
    role: 'assistant',
    content: 'I look.',
    reasoning_content: 'Hm.',
    tool_calls: [call('call_1', { n: 1 }), call('call_2', { n: 2 })],
  },
  result('call_2', 'two'),
  result('call_1', 'one'),
  { role: 'user', content: 'Well?' },
];

const formOf = (template: string): ToolCallForm => toolCallForm(template, (text) => text.length)!;
const LLAMA3 = formOf('{{ tools }} tool_calls <|start_header_id|> "parameters": ');
const MISTRAL = formOf('{{ tools }} tool_calls [TOOL_CALLS]');
const HERMES = formOf('{{ tools }} tool_calls <tool_call>');
const SMOL = formOf('{{ tools }} <tool_call>');
const GEMMA = formOf('<start_of_turn>');

describe('messages about calls', () => {
  it('are passed on where templates take them as they are, and tools where there are any', () => {
    const messages = [TALK[0], TALK[1], named(TALK[2]), named(TALK[3]), TALK[4]];
    assert.deepEqual(callMessages(HERMES, TALK, TOOLS), { messages, tools: TOOLS });
    assert.deepEqual(callMessages(null, TALK, TOOLS), { messages, tools: null });
    assert.equal(callMessages(HERMES, TALK, []).tools, null);
  });

  it('are one call each, with its result, where templates take no more', () => {
    const { messages } = callMessages(LLAMA3, TALK, TOOLS);
    assert.deepEqual(messages, [
      TALK[0],
      { ...TALK[1], tool_calls: [call('call_1', { n: 1 })] },
      named(TALK[3]),
      { role: 'assistant', content: '', tool_calls: [call('call_2', { n: 2 })] },
      named(TALK[2]),
      TALK[4],
    ]);
    const lacking = [TALK[0]!, TALK[1]!, result('other', 'x')];
    assert.deepEqual(
      callMessages(LLAMA3, lacking, TOOLS).messages.map(({ role }) => role),
      ['user', 'assistant', 'assistant', 'tool'],
    );
  });

  it('have ids of nine letters and digits for Mistral, the same for a call and its result', () => {
    const talk = [...TALK, result('abcDEF123', 'x')];
    const { messages } = callMessages(MISTRAL, talk, TOOLS);
    const ids = messages[1]!.tool_calls!.map(({ id }) => id);
    assert.ok(ids.every((id) => /^[A-Za-z0-9]{9}$/.test(id)) && ids[0] !== ids[1], ids.join());
    assert.deepEqual([messages[3]!.tool_call_id, messages[2]!.tool_call_id], ids);
    assert.equal(messages[5]!.tool_call_id, 'abcDEF123');
  });

  it('have the calls in their text where templates leave them out', () => {
    const [, called] = callMessages(SMOL, TALK, TOOLS).messages;
    assert.equal(
      called!.content,
      'I look.\n<tool_call>\n{"name": "get", "arguments": {"n":1}}\n</tool_call>\n<tool_call>\n{"name": "get", "arguments": {"n":2}}\n</tool_call>',
    );
    assert.equal(called!.tool_calls, undefined);
  });

  it('are all text for Gemma, whose templates know nothing of tools', () => {
    const { messages, tools } = callMessages(GEMMA, TALK, TOOLS);
    assert.equal(tools, null);
    assert.deepEqual(
      messages.map(({ role }) => role),
      ['user', 'assistant', 'user'],
    );
    assert.match(
      String(messages[0]!.content),
      /"parameters"[\s\S]*\{"name":"get","description":"Gets it\."\}\n\nBoth\?$/,
    );
    assert.equal(
      messages[1]!.content,
      'I look.\n{"name": "get", "parameters": {"n":1}}\n{"name": "get", "parameters": {"n":2}}',
    );
    assert.equal(messages[2]!.content, 'Result of get:\ntwo\n\nResult of get:\none\n\nWell?');
    const system: ChatMessage = { role: 'system', content: [{ type: 'text', text: 'Be brief.' }] };
    assert.match(
      String(callMessages(GEMMA, [system, ...TALK], TOOLS).messages[0]!.content),
      /^Be brief\.\n\nYou have access/,
    );
    assert.deepEqual(callMessages(GEMMA, [TALK[0]!], []), { messages: [TALK[0]], tools: null });
  });
});

describe('real templates', { skip: sharedData('templates/e2e_custom.json') === null && 'no ../shared/data' }, () => {
  /** What stands in a prompt for the two calls of the conversation. */
  const CALLS: Readonly<Record<string, RegExp>> = {
    'mistralai/Mistral-7B-Instruct-v0.3 (JSON Schema)':
      /\[TOOL_CALLS\] \[\{"name": "get", "arguments": \{"n": 1\}, "id": "\w{9}"\}, /,
    'CISCai/Mistral-7B-Instruct-v0.3-SOTA-GGUF':
      /\[TOOL_CALLS\] \[\{"id": "\w{9}", "name": "get", "arguments": \{"n": 1\}\}, /,
    'NousResearch/Hermes-2-Pro-Llama-3-8B (JSON Schema)':
      /<tool_call>\n\{ "arguments": \{"n": 1\}, "name": "get"\}\n<\/tool_call> \{ "arguments": \{"n": 2\}/,
    'mistralai/Mistral-Nemo-Instruct-2407':
      /\[TOOL_CALLS\]\[\{"name": "get", "arguments": \{"n": 1\}, "id": "\w{9}"\}, /,
    'meta-llama/Llama-3.1-8B-Instruct':
      /\{"name": "get", "parameters": \{"n": 1\}\}<[\s\S]*"one"<[\s\S]*\{"n": 2\}\}<[\s\S]*"two"</,
    'Qwen/Qwen2.5-7B-Instruct':
      /<tool_call>\n\{"name": "get", "arguments": \{"n": 1\}\}\n<\/tool_call>\n<tool_call>\n.*\{"n": 2\}/,
    'Qwen/Qwen3-0.6B':
      /<tool_call>\n\{"name": "get", "arguments": \{"n": 1\}\}\n<\/tool_call>\n<tool_call>\n.*\{"n": 2\}/,
    'meta-llama/Llama-3.2-11B-Vision-Instruct':
      /\{"name": "get", "parameters": \{"n": 1\}\}<[\s\S]*"one"<[\s\S]*\{"n": 2\}\}<[\s\S]*"two"</,
    'Qwen/Qwen3.5-4B':
      /<tool_call>\n<function=get>\n<parameter=n>\n1\n<\/parameter>\n<\/function>\n<\/tool_call>\n<tool_call>\n<function=get>/,
    'HuggingFaceTB/SmolLM3-3B': /<tool_call>\n\{"name": "get", "arguments": \{"n":1\}\}\n<\/tool_call>\n<tool_call>/,
  };

  it('render offers, calls and results of every known family', () => {
    const text = readFileSync(sharedData('templates/e2e_custom.json')!, 'utf8');
    const vectors = JSON.parse(text) as { name: string; chat_template: string }[];
    let seen = 0;
    for (const { name, chat_template } of vectors) {
      const form = toolCallForm(chat_template, () => null);
      if (form === null) continue;
      const rendering = new ChatRendering({ source: chat_template, bosText: '<s>', eosText: '</s>' });
      const { messages, tools } = callMessages(form, TALK.slice(0, -1), [OFFERED]);
      const prompt = raw(rendering.render({ messages, tools, add_generation_prompt: true }, new Date(0)));
      assert.match(prompt, CALLS[name] ?? /^$/, name);
      for (const part of ['Both?', name.includes('Hermes') ? 'get(' : 'Gets it.', 'one', 'two']) {
        assert.ok(prompt.includes(part), `${name}: ${part}`);
      }
      seen++;
    }
    assert.equal(seen, Object.keys(CALLS).length);
  });
});
