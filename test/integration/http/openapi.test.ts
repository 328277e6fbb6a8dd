import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Route } from '../../../coordinator/http/dialect.ts';
import { openai } from '../../../coordinator/http/dialects/openai/dialect.ts';
import { ROUTES } from '../../../coordinator/http/routes.ts';
import { withBatches } from '../../fixtures/batch-endpoint.ts';
import { CHAT, chatLine } from '../../fixtures/batch-folder.ts';
import { OpenApiSchemas } from '../../fixtures/openapi-schema.ts';
import { sharedData } from '../../fixtures/shared-data.ts';

const path = sharedData('openapi/openapi.yaml');
const skip = path === null && 'no ../shared/data';

/** What is told beyond the description, which does not forbid it. */
const OURS = /\.(context_length|usage\.prompt_tokens_details): unknown$/;
/** What a stream of completions has by the description's words, but not by its schema. */
const NULL_IN_CHUNKS = /^\/completions(\.usage: expected object|\.choices\[\d+\]\.finish_reason: expected string)$/;

const ROOTS = ['/v1', ''];
const PARAMETER = /:id(\{[^}]*\})?/;

/** Asks routes, and holds what they answer to OpenAI's description. */
class DescribedApi {
  readonly #url: string;
  readonly #schemas: OpenApiSchemas;
  /** Rows of the table that have answered. */
  readonly #answered = new Set<string>();

  constructor(url: string, schemas: OpenApiSchemas) {
    this.#url = url;
    this.#schemas = schemas;
  }

  get unanswered(): Route[] {
    return ROUTES.filter(({ dialect, method, path }) => dialect === openai && !this.#answered.has(`${method} ${path}`));
  }

  /**
   * Has a route answer below a root.
   * @param route its path below `/v1`, with the value of its parameter behind a space
   * @param body JSON, or a form
   * @returns the body of its answer: a text where it is no JSON, the last event of a stream
   */
  async ask(root: string, method: string, route: string, body?: object): Promise<Record<string, string>> {
    const [template = '', id = ''] = route.split(' ');
    const response = await fetch(this.#url + root + template.replace(PARAMETER, id), {
      method,
      ...(body === undefined ? {} : { body: body instanceof FormData ? body : JSON.stringify(body) }),
    });
    const text = await response.text();
    assert.equal(response.status, 200, `${method} ${route}: ${text}`);
    this.#answered.add(`${method} ${root}${template}`);
    const [type = ''] = (response.headers.get('content-type') ?? '').split(';');
    const isStream = type === 'text/event-stream';
    const values: unknown[] = isStream ? events(text) : [type === 'application/json' ? JSON.parse(text) : text];
    for (const value of values) {
      const problems = this.#schemas
        .problemsOfAnswer(method, template.replace(PARAMETER, '{}'), type, value)
        .filter((problem) => !OURS.test(problem) && !(isStream && NULL_IN_CHUNKS.test(problem)));
      assert.deepEqual(problems, [], `${method} ${route}: ${JSON.stringify(value)}`);
    }
    return values.at(-1) as Record<string, string>;
  }
}

const events = (text: string): unknown[] =>
  [...text.matchAll(/^data: (\{.*)$/gm)].map(([, data]) => JSON.parse(data!) as unknown);

function batchForm(): FormData {
  const form = new FormData();
  form.append('purpose', 'batch');
  form.append('file', new File([chatLine('a', 'Hi')], 'requests.jsonl'));
  return form;
}

async function askForTexts(api: DescribedApi, root: string): Promise<void> {
  const chat = { messages: [{ role: 'user', content: 'Hi' }], logprobs: true, top_logprobs: 2, n: 2 };
  const prompt = { prompt: 'Hi', logprobs: 2, n: 2 };
  const streamed = { stream: true, stream_options: { include_usage: true } };
  for (const [route, body] of [
    ['/chat/completions', chat],
    ['/completions', prompt],
  ] as const) {
    await api.ask(root, 'POST', route, body);
    const last = await api.ask(root, 'POST', route, { ...body, ...streamed });
    assert.ok(last.usage, 'the stream came to its end');
  }
  await api.ask(root, 'POST', '/embeddings', { input: ['Hi', 'Ho'] });
  await api.ask(root, 'GET', '/models');
  await api.ask(root, 'GET', '/models/:id{.+} starling');
}

async function askForResponses(api: DescribedApi, root: string): Promise<void> {
  const said = await api.ask(root, 'POST', '/responses', { input: 'Hi' });
  await api.ask(root, 'POST', '/responses', { input: 'And?', previous_response_id: said.id, stream: true });
  await api.ask(root, 'GET', `/responses/:id ${said.id}`);
  await api.ask(root, 'GET', `/responses/:id/input_items ${said.id}`);
  await api.ask(root, 'DELETE', `/responses/:id ${said.id}`);
}

async function askForBatches(api: DescribedApi, root: string): Promise<void> {
  await api.ask(root, 'GET', '/batches');
  const file = await api.ask(root, 'POST', '/files', batchForm());
  await api.ask(root, 'GET', '/files');
  await api.ask(root, 'GET', `/files/:id ${file.id}`);
  assert.equal(await api.ask(root, 'GET', `/files/:id/content ${file.id}`), chatLine('a', 'Hi'));
  const wish = { input_file_id: file.id, endpoint: CHAT, completion_window: '24h', metadata: { of: 'tests' } };
  const batch = await api.ask(root, 'POST', '/batches', wish);
  await api.ask(root, 'GET', `/batches/:id ${batch.id}`);
  await api.ask(root, 'GET', '/batches');
  await api.ask(root, 'POST', `/batches/:id/cancel ${batch.id}`);
  // The batch needs its own until it is over.
  const spare = await api.ask(root, 'POST', '/files', batchForm());
  await api.ask(root, 'DELETE', `/files/:id ${spare.id}`);
  await api.ask(root, 'GET', '/files');
}

/** Each path, asked wrongly, and asked for what it does not have. */
async function assertErrors(url: string, schemas: OpenApiSchemas): Promise<void> {
  for (const { path } of ROUTES.filter(({ dialect }) => dialect === openai)) {
    for (const method of ['POST', 'PATCH']) {
      const response = await fetch(url + path.replace(PARAMETER, 'none'), { method, body: '[1]' });
      const text = await response.text();
      assert.ok(response.status >= 400 && response.status < 500, `${method} ${path}: ${response.status}`);
      assert.deepEqual(schemas.problems('ErrorResponse', JSON.parse(text)), [], text);
    }
  }
}

test("every route of OpenAI's answers as its description says", { skip }, async (t) => {
  const schemas = new OpenApiSchemas(path!);
  assert.notDeepEqual(schemas.problemsOfAnswer('GET', '/batches/{}', 'application/json', { id: null }), []);
  let held = Promise.resolve();
  await withBatches(t, { reply: 'Hello', beforeStep: () => held }, async ({ url }) => {
    const api = new DescribedApi(url, schemas);
    for (const root of ROOTS) {
      await askForTexts(api, root);
      await askForResponses(api, root);
      // A batch that is done could not be cancelled.
      let goOn = (): void => {};
      held = new Promise((resolve) => {
        goOn = resolve;
      });
      await askForBatches(api, root).finally(goOn);
    }
    assert.deepEqual(api.unanswered, [], 'a route needs an answer here');
    await assertErrors(url, schemas);
  });
});
