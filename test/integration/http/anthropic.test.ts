import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { ChatMessage, ChatRenderer } from '../../../coordinator/generation/text-codec.ts';
import { plainTemplate } from '../../fixtures/fake-text-model.ts';
import { rawRequest, withEndpoint } from '../../fixtures/http-endpoint.ts';

const MESSAGE = { model: 'starling', max_tokens: 50, messages: [{ role: 'user', content: 'Hi' }] };

const post = (url: string, path: string, body: object) => rawRequest(url + path, { body: JSON.stringify(body) });

describe('the API of Anthropic', () => {
  it('answers whole', async () => {
    await withEndpoint({ reply: 'Hello' }, async ({ url }) => {
      const { text } = await post(url, '/v1/messages', { ...MESSAGE, max_tokens: 2 });
      const { id, usage, ...message } = JSON.parse(text) as { id: string; usage: { input_tokens: number } };
      assert.match(id, /^msg_/);
      assert.equal(usage.input_tokens, 1 + 'user: Hi\nassistant: '.length);
      assert.deepEqual(message, {
        type: 'message',
        role: 'assistant',
        model: 'fake-model',
        content: [{ type: 'text', text: 'He' }],
        stop_reason: 'max_tokens',
        stop_sequence: null,
      });
    });
  });

  it('streams named events, pings in silences, and an error on the way', async () => {
    const beforeStep = async (step: number): Promise<void> => {
      if (step > 1) throw new Error('the disk is gone');
      await new Promise((resolve) => setTimeout(resolve, step === 0 ? 60 : 0));
    };
    await withEndpoint({ beforeStep, http: { keepAliveMs: 20 } }, async ({ url }) => {
      const { text } = await post(url, '/v1/messages', { ...MESSAGE, stream: true });
      const names = [...text.matchAll(/^event: (\w+)$/gm)].map(([, name]) => name);
      assert.deepEqual([names[0], names[1], names.at(-1)], ['message_start', 'ping', 'error']);
      assert.match(text, /data: \{"type":"error","error":\{"type":"api_error","message":"the disk is gone"\}\}\n\n$/);
    });
  });

  it('reads blocks as turns: results of tools come before the text beside them', async () => {
    const seen: ChatMessage[] = [];
    const variables: unknown[] = [];
    const template: ChatRenderer = {
      render: (messages, options) => {
        seen.push(...messages);
        variables.push(options.variables);
        return plainTemplate.render(messages, options);
      },
    };
    await withEndpoint({ template }, async ({ url }) => {
      const messages = [
        { role: 'user', content: [{ type: 'text', text: 'Look', cache_control: { type: 'ephemeral' } }] },
        {
          role: 'assistant',
          content: [
            { type: 'thinking', thinking: 'Hm.', signature: 's' },
            { type: 'tool_use', id: 't', name: 'look', input: { at: 1 } },
          ],
        },
        {
          role: 'user',
          content: [
            { type: 'text', text: 'And?' },
            { type: 'tool_result', tool_use_id: 't', content: [{ type: 'text', text: 'a dog' }] },
          ],
        },
      ];
      const system = [{ type: 'text', text: 'Be brief.' }];
      const thinking = { type: 'enabled', budget_tokens: 1024 };
      const response = await post(url, '/v1/messages', { ...MESSAGE, system, messages, thinking });
      assert.equal(response.status, 200, response.text);
    });
    assert.deepEqual(variables, [{ enable_thinking: true }]);
    const call = { id: 't', type: 'function', function: { name: 'look', arguments: { at: 1 } } };
    assert.deepEqual(seen, [
      { role: 'system', content: [{ type: 'text', text: 'Be brief.' }] },
      { role: 'user', content: 'Look' },
      { role: 'assistant', content: '', reasoning_content: 'Hm.', thinking: 'Hm.', tool_calls: [call] },
      { role: 'tool', name: 'look', content: [{ type: 'text', text: 'a dog' }], tool_call_id: 't' },
      { role: 'user', content: 'And?' },
    ]);
  });

  it('counts the tokens of a prompt, also of one that is too long', async () => {
    await withEndpoint({ contextLength: 32 }, async ({ url, model }) => {
      const messages = [{ role: 'user', content: 'x'.repeat(100) }];
      const { text } = await post(url, '/v1/messages/count_tokens', { model: 'fake-model', messages });
      assert.deepEqual(JSON.parse(text), { input_tokens: 1 + 'user: \nassistant: '.length + 100 });
      assert.equal(model.steps, 0);
    });
  });

  it('words every error below /v1/messages as Anthropic does', async () => {
    await withEndpoint({}, async ({ url }) => {
      const image = { type: 'image', source: { type: 'base64', media_type: 'image/png', data: '' } };
      const tools = [{ name: 'f', input_schema: { type: 'object' } }];
      const format = { type: 'json_object' };
      const cases: [path: string, body: object, status: number, type: string, message: RegExp][] = [
        ['', { ...MESSAGE, model: 'claude' }, 404, 'not_found_error', /'claude' is not served/],
        ['', { ...MESSAGE, messages: [] }, 400, 'invalid_request_error', /'messages' is not valid/],
        ['', { ...MESSAGE, tools }, 400, 'invalid_request_error', /leave 'tools' out/],
        ['', { ...MESSAGE, output_config: { format } }, 400, 'invalid_request_error', /format\.type' is not valid/],
        ['', { ...MESSAGE, messages: [{ role: 'user', content: [image] }] }, 400, 'invalid_request_error', /'image'/],
        [
          '',
          { ...MESSAGE, messages: [{ role: 'user', content: [{ type: 'text' }] }] },
          400,
          'invalid_request_error',
          /text/,
        ],
        ['/batches', MESSAGE, 404, 'not_found_error', /nothing at POST/],
      ];
      for (const [path, body, status, type, message] of cases) {
        const response = await post(url, `/v1/messages${path}`, body);
        assert.equal(response.status, status, response.text);
        const told = JSON.parse(response.text) as { type: string; error: { type: string; message: string } };
        assert.deepEqual([told.type, told.error.type], ['error', type]);
        assert.match(told.error.message, message);
      }
      const wrong = await rawRequest(`${url}/v1/messages`);
      assert.equal((JSON.parse(wrong.text) as { type: string }).type, 'error');
    });
  });
});
