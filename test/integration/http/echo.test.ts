import assert from 'node:assert/strict';
import { test } from 'node:test';
import OpenAI from 'openai';
import { withEndpoint } from '../../fixtures/http-endpoint.ts';
import { tinyEndpoint } from '../../fixtures/tiny-endpoint.ts';

type Logprobs = OpenAI.CompletionChoice.Logprobs;
type Choices = Record<number, { text: string; finish: string | null; logprobs: Logprobs }>;
type Params = Omit<OpenAI.CompletionCreateParamsNonStreaming, 'model'>;

const NO_LOGPROBS: Logprobs = { tokens: [], token_logprobs: [], top_logprobs: [], text_offset: [] };
const LISTS = ['tokens', 'token_logprobs', 'top_logprobs', 'text_offset'] as const;

const joined = (a: Logprobs, b: Logprobs | null): Logprobs =>
  Object.fromEntries(LISTS.map((list) => [list, [...(a[list] ?? []), ...(b?.[list] ?? [])]]));

/** The choices of a request, which must be the same streamed as whole. */
async function choicesOf(client: OpenAI, params: Params): Promise<Choices> {
  const request = { model: 'starling', ...params };
  const collect = (choices: Choices, { index, text, finish_reason, logprobs }: OpenAI.CompletionChoice): void => {
    const { text: before, logprobs: listed } = choices[index] ?? { text: '', logprobs: NO_LOGPROBS };
    choices[index] = { text: before + text, finish: finish_reason, logprobs: joined(listed, logprobs) };
  };
  const whole: Choices = {};
  for (const choice of (await client.completions.create(request)).choices) collect(whole, choice);
  const streamed: Choices = {};
  for await (const chunk of await client.completions.create({ ...request, stream: true })) {
    for (const choice of chunk.choices) collect(streamed, choice);
  }
  assert.deepEqual(streamed, whole);
  return whole;
}

const probabilities = ({ token_logprobs }: Logprobs): (number | null)[] =>
  (token_logprobs as (number | null)[]).map((value) => (value === null ? null : Math.round(Math.exp(value))));

test('A13: the tokens of a prompt are listed before those of the answer', async () => {
  await withEndpoint({ reply: 'ok' }, async ({ url }) => {
    const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: 'none', maxRetries: 0 });
    // The model recites its reply, and finds after "o" nothing likely but "k", which this prompt has once.
    const [choice] = Object.values(await choicesOf(client, { prompt: 'a<s>okb', echo: true, logprobs: 1 }));
    assert.deepEqual([choice!.text, choice!.finish], ['a<s>okbok', 'stop']);
    const { tokens, top_logprobs, text_offset } = choice!.logprobs;
    assert.deepEqual(tokens, ['', 'a', '', 'o', 'k', 'b', 'o', 'k']);
    assert.deepEqual(text_offset, [0, 0, 1, 4, 5, 6, 7, 8]);
    assert.deepEqual(probabilities(choice!.logprobs), [null, 0, 0, 1, 1, 0, 1, 1]);
    assert.deepEqual(
      (top_logprobs as unknown as (object | null)[]).map((top) => top && Object.keys(top).length),
      [null, 1, 1, 1, 1, 1, 1, 1],
    );

    const none = await choicesOf(client, { prompt: [113, 109], echo: true, logprobs: 0, max_tokens: 0 });
    assert.deepEqual(none[0]!.text, 'ok');
    assert.equal(none[0]!.finish, 'length');
    assert.deepEqual(
      [none[0]!.logprobs.tokens, none[0]!.logprobs.top_logprobs, probabilities(none[0]!.logprobs)],
      [
        ['o', 'k'],
        [null, {}],
        [null, 1],
      ],
    );
    const one = await choicesOf(client, { prompt: [113], echo: true, logprobs: 1, max_tokens: 0 });
    assert.deepEqual(one[0]!.logprobs.token_logprobs, [null]);
    const plain = await choicesOf(client, { prompt: 'a', echo: true, max_tokens: 0 });
    assert.deepEqual([plain[0]!.text, plain[0]!.logprobs], ['a', NO_LOGPROBS]);
  });
});

test('every answer to a prompt comes after all that is told of the prompt', async () => {
  await withEndpoint({ certainty: 3 }, async ({ url }) => {
    const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: 'none', maxRetries: 0 });
    const params = { prompt: ['one ', 'x'.repeat(200)], n: 2, seed: 5, echo: true, logprobs: 1 };
    for (const max_tokens of [0, 3]) {
      const choices = await choicesOf(client, { ...params, max_tokens });
      for (const [index, prompt] of ['one ', 'one ', params.prompt[1]!, params.prompt[1]!].entries()) {
        const { text, logprobs } = choices[index]!;
        assert.ok(text.startsWith(prompt));
        assert.equal(logprobs.tokens!.length, 1 + prompt.length + max_tokens);
        assert.deepEqual(
          logprobs.token_logprobs!.slice(0, 1 + prompt.length),
          choices[index - (index % 2)]!.logprobs.token_logprobs!.slice(0, 1 + prompt.length),
        );
      }
    }
  });
});

test('a token has the same log probability in a prompt as in an answer', async (t) => {
  const { openai, tokens } = await tinyEndpoint(t);
  const text = 'Tell me a story about a dog.';
  const written = await choicesOf(openai, { prompt: text, echo: true, logprobs: 3, max_tokens: 6, temperature: 0 });
  const { logprobs, text: all } = written[0]!;
  const ids = tokens(all);
  assert.equal(logprobs.tokens!.length, ids.length, 'the text is read as it was written');
  for (const prompt of [all, ids]) {
    const read = await choicesOf(openai, { prompt, echo: true, logprobs: 3, max_tokens: 0 });
    assert.deepEqual([read[0]!.text, read[0]!.logprobs], [all, logprobs]);
  }
  for (const [i, offset] of logprobs.text_offset!.entries()) {
    assert.equal(all.slice(offset, logprobs.text_offset![i + 1]).trim(), logprobs.tokens![i]!.trim());
  }
});
