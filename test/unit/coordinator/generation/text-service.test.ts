import assert from 'node:assert/strict';
import { after, describe, it } from 'node:test';
import type { Conversation } from '../../../../coordinator/generation/conversation.ts';
import { NOBODY_IN_PARTICULAR } from '../../../../coordinator/generation/events.ts';
import { GREEDY } from '../../../../coordinator/generation/sampler.ts';
import {
  type ChatRenderer,
  decodeTokens,
  encodePrompt,
  tokenText,
} from '../../../../coordinator/generation/text-codec.ts';
import {
  type TextEvent,
  TextService,
  type TextServiceOptions,
  type TextSettings,
} from '../../../../coordinator/generation/text-service.ts';
import { toolCallForm } from '../../../../coordinator/generation/tool-calls/known-families.ts';
import { randomCallId } from '../../../../coordinator/generation/tool-calls/random-call-id.ts';
import { ChatTemplate } from '../../../../coordinator/model/template/chat-template.ts';
import { StarlingError } from '../../../../daemon/errors.ts';
import { createLogger } from '../../../../daemon/log.ts';
import { byteCodec, byteToken, FakeModel, plainTemplate } from '../../../fixtures/fake-text-model.ts';
import { eventually } from '../../../fixtures/http-endpoint.ts';

const SETTINGS: TextSettings = {
  maxTokens: null,
  sampling: GREEDY,
  stop: [],
  logprobs: null,
  choices: 1,
  standing: NOBODY_IN_PARTICULAR,
};

function serviceFor(model: FakeModel, queueLimit = 64, template: ChatRenderer = plainTemplate): TextService {
  return new TextService({
    modelId: 'fake',
    created: 1,
    model,
    codec: byteCodec,
    template,
    log: createLogger('silent', 'test'),
    queueLimit,
  });
}

async function collect(events: AsyncIterable<TextEvent>): Promise<TextEvent[]> {
  const all: TextEvent[] = [];
  for await (const event of events) all.push(event);
  return all;
}

function textOf(events: readonly TextEvent[], choice: number): string {
  return events.map((event) => (event.type !== 'accepted' && event.choice === choice ? event.text : '')).join('');
}

const hasCode = (code: string) => (error: unknown) => error instanceof StarlingError && error.code === code;

describe('prompt encoding', () => {
  it('puts the beginning-of-text token once, also when the text has it', () => {
    assert.deepEqual(encodePrompt(byteCodec, 'A'), [0, byteToken(65)]);
    assert.deepEqual(encodePrompt(byteCodec, '<s>A'), [0, byteToken(65)]);
    assert.deepEqual(encodePrompt({ ...byteCodec, encode: () => [5, 5] }, 'xx').length, 1);
    const noBegin = { ...byteCodec, encode: (text: string) => Array.from(text, () => 5) };
    assert.deepEqual(encodePrompt(noBegin, 'xx'), [5, 5]);
  });

  it('decodes runs and single tokens', () => {
    const tokens = byteCodec.encode('a€', { addSpecial: true, parseSpecial: false });
    assert.equal(decodeTokens(byteCodec, tokens), 'a€');
    assert.equal(tokenText(byteCodec, tokens.at(-1)!), '\ufffd');
  });
});

describe('TextService', () => {
  it('A3: hands variables of the request to the chat template', async () => {
    const template = new ChatTemplate('{{ messages[0].content }}{% if not enable_thinking %}!{% endif %}', '', '');
    try {
      const service = serviceFor(new FakeModel({ reply: 'Hi!' }), 64, template);
      const tokens = async (variables: Readonly<Record<string, unknown>>): Promise<number> => {
        const [first] = await collect(
          service.chat({ messages: [{ role: 'user', content: 'A' }], variables }, SETTINGS),
        );
        return first?.type === 'accepted' ? first.promptTokens : 0;
      };
      assert.deepEqual([await tokens({}), await tokens({ enable_thinking: true })], [3, 2]);
    } finally {
      template.close();
    }
  });

  it('answers a conversation', async () => {
    const service = serviceFor(new FakeModel({ reply: 'Hi!' }));
    const events = await collect(service.chat({ messages: [{ role: 'user', content: 'Hello' }] }, SETTINGS));
    // "<s>" and "user: Hello\nassistant: ".
    assert.deepEqual(events[0], { type: 'accepted', promptTokens: 24 });
    assert.equal(textOf(events, 0), 'Hi!');
    assert.equal(events.at(-1)?.type, 'end');
    assert.deepEqual(service.load, { waiting: 0, running: 0 });
  });

  it('answers several prompts several times, the first answer as if it were asked for alone', async () => {
    const random = { ...SETTINGS, maxTokens: 12, sampling: { ...GREEDY, temperature: 1, seed: 3 } };
    const service = serviceFor(new FakeModel({ certainty: 0 }));
    const several = await collect(service.complete(['ab', [0, byteToken(65)]], { ...random, choices: 2 }));
    const ends = several.filter((event) => event.type === 'end').map((event) => event.choice);
    assert.deepEqual(ends.sort(), [0, 1, 2, 3]);
    const alone = await collect(service.complete(['ab'], random));
    assert.equal(textOf(several, 0), textOf(alone, 0));
    assert.notEqual(textOf(several, 0), textOf(several, 1));
  });

  it('refuses bad prompts before they take a place', async () => {
    const service = serviceFor(new FakeModel({ contextLength: 4 }));
    await assert.rejects(collect(service.complete([[9999]], SETTINGS)), hasCode('invalid_request'));
    await assert.rejects(collect(service.complete(['fine', 'too long'], SETTINGS)), hasCode('context_length_exceeded'));
    await assert.rejects(
      collect(service.chat({ messages: [{ role: 'user', content: 'too long' }] }, SETTINGS)),
      (error) => error instanceof StarlingError && error.param === 'messages',
    );
    assert.deepEqual(service.load, { waiting: 0, running: 0 });
  });

  it('goes on with the next request when one fails or leaves early', async () => {
    let failures = 1;
    const model = new FakeModel({
      beforeStep: () => {
        if (failures-- > 0) throw new StarlingError('device_lost', 'gone');
      },
    });
    const service = serviceFor(model);
    await assert.rejects(collect(service.complete(['a'], SETTINGS)), hasCode('device_lost'));
    const leaving = (async () => {
      for await (const event of service.complete(['a'], SETTINGS)) if (event.type === 'token') break;
    })();
    const fine = collect(service.complete(['a'], SETTINGS));
    await leaving;
    assert.equal(textOf(await fine, 0), 'Hello, world!');
    assert.deepEqual([service.load.running, service.statistics.kv.sequences], [0, 0]);
  });

  it('refuses waiting requests when it stops, and requests beyond the limit', async () => {
    let open = (): void => {};
    const gate = new Promise<void>((resolve) => {
      open = resolve;
    });
    const service = serviceFor(new FakeModel({ beforeStep: () => gate }), 1);
    const running = collect(service.complete(['a'], SETTINGS));
    await eventually(() => service.load.running === 1, 'the first runs');
    const waiting = collect(service.complete(['a'], SETTINGS));
    await assert.rejects(collect(service.complete(['a'], SETTINGS)), hasCode('queue_full'));
    service.stop();
    await assert.rejects(waiting, hasCode('cancelled'));
    open();
    assert.equal(textOf(await running, 0), 'Hello, world!');
  });
});

describe('tools', () => {
  const template = new ChatTemplate('{{ tools | tojson }}{{ messages | tojson }}{# <tool_call> #}', '', '');
  after(() => template.close());
  const toolCalls = toolCallForm(template.source, () => null);
  const tools = [{ name: 'get', parameters: {} }] as const;
  const reply = 'See.\n<tool_call>\n{"name": "get", "arguments": {"é": 1}}\n</tool_call>';
  const serve = (options: Partial<TextServiceOptions> = {}): TextService =>
    new TextService({
      ...{ modelId: 'fake', created: 1, model: new FakeModel({ reply }), codec: byteCodec, queueLimit: 64 },
      ...{ template, toolCalls, newCallId: (index: number) => `call${index}`, log: createLogger('silent', 'test') },
      ...options,
    });
  const ask = async (service: TextService, asked: Partial<Conversation> = {}): Promise<TextEvent[]> =>
    collect(service.chat({ messages: [{ role: 'user', content: 'Hi' }], ...asked }, SETTINGS));

  it('are offered to the template, and their calls told from the text', async () => {
    const prompts: unknown[] = [];
    const recording: ChatRenderer = {
      source: template.source,
      render: (messages, options) => {
        prompts.push(options.tools);
        return template.render(messages, options);
      },
    };
    const events = await ask(serve({ template: recording }), { tools });
    assert.deepEqual(prompts, [[{ type: 'function', function: { name: 'get', parameters: {} } }]]);
    assert.equal(textOf(events, 0), 'See.');
    const calls = events.flatMap((event) => (event.type === 'accepted' ? [] : (event.calls ?? [])));
    assert.deepEqual(calls[0], { type: 'begin', index: 0, id: 'call0', name: 'get' });
    assert.equal(calls.map((event) => (event.type === 'arguments' ? event.delta : '')).join(''), '{"é": 1}');
    assert.deepEqual(calls.at(-1), { type: 'end', index: 0, complete: true });
    const end = events.find((event) => event.type === 'end');
    assert.equal(end?.finishReason, 'tool_calls');
  });

  it('are left out with the choice "none", and what looks like a call is text', async () => {
    for (const asked of [{}, { tools, toolChoice: 'none' }] as const) {
      assert.equal(textOf(await ask(serve(), asked), 0), reply);
    }
  });

  it('are refused for a model that cannot be offered any', async () => {
    await assert.rejects(ask(serve({ toolCalls: null }), { tools }), hasCode('unsupported_parameter'));
    await assert.rejects(ask(serve(), { tools, toolChoice: { name: 'other' } }), hasCode('invalid_request'));
    assert.equal(textOf(await ask(serve({ toolCalls: null })), 0), reply);
  });

  it('have ids of nine letters and digits unless others are made', () => {
    const ids = Array.from({ length: 50 }, () => randomCallId());
    assert.ok(ids.every((id) => /^[A-Za-z0-9]{9}$/.test(id)) && new Set(ids).size === 50);
  });
});
