import assert from 'node:assert/strict';
import { test } from 'node:test';
import type OpenAI from 'openai';
import { bestBackend } from '../../../kernels/create-kernels.ts';
import { tinyEndpoint } from '../../fixtures/tiny-endpoint.ts';

const ASKED = {
  model: 'tiny',
  messages: [{ role: 'user' as const, content: 'A story?' }],
  temperature: 1,
  max_tokens: 8,
};

interface Said {
  readonly fingerprint: string | undefined;
  readonly text: string | null | undefined;
}

async function saidBy(openai: OpenAI, seed: number): Promise<Said> {
  const { system_fingerprint, choices } = await openai.chat.completions.create({ ...ASKED, seed });
  return { fingerprint: system_fingerprint, text: choices[0]?.message.content };
}

test('equal fingerprints, seeds and prompts give equal text on any cluster', async (t) => {
  const alone = await tinyEndpoint(t, { threads: 2 });
  const said = await saidBy(alone.openai, 7);
  assert.match(said.fingerprint ?? '', /^starling-0\.0\.0\/[0-9a-f]{16}\/Q8_0\/kv-f16\/context-256\/sampler-\d+$/);

  const { openai } = await tinyEndpoint(t, {
    daemons: 3,
    head: 'shared',
    daemonBackend: (daemon) => (daemon === 0 ? 'wasm' : bestBackend()),
  });
  assert.deepEqual(await saidBy(openai, 7), said);
  const other = await saidBy(openai, 8);
  assert.equal(other.fingerprint, said.fingerprint);
  assert.notEqual(other.text, said.text, 'the text is drawn: the seed decides');

  for await (const chunk of await openai.chat.completions.create({ ...ASKED, max_tokens: 1, stream: true })) {
    assert.equal(chunk.system_fingerprint, said.fingerprint);
  }
  const { system_fingerprint } = await openai.completions.create({ model: 'tiny', prompt: 'Once', max_tokens: 1 });
  assert.equal(system_fingerprint, said.fingerprint);
});
