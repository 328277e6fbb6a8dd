import { setTimeout as sleep } from 'node:timers/promises';
import { StarlingError } from '../daemon/errors.ts';

/** The body of a request to /v1/completions. */
export type CompletionBody = Readonly<Record<string, unknown>>;

/** A batch as far as the bench looks at it. */
export interface BatchState {
  readonly id: string;
  readonly status: string;
  readonly output_file_id: string | null;
  readonly request_counts: { readonly total: number; readonly completed: number; readonly failed: number };
}

interface Completion {
  readonly choices: readonly { readonly text: string }[];
}

const ENDPOINT = '/v1/completions';
/** From one look at a batch to the next. */
const LOOK_MS = 20;

/** @throws StarlingError internal with what the endpoint answered */
async function answerOf(response: Response): Promise<string> {
  const text = await response.text();
  if (!response.ok) throw new StarlingError('internal', `${response.url} answered ${response.status}: ${text}`);
  return text;
}

/** Asks for one text, as any client does. */
export async function complete(url: string, body: CompletionBody): Promise<string> {
  const response = await fetch(url + ENDPOINT, { method: 'POST', body: JSON.stringify(body) });
  return textOf(JSON.parse(await answerOf(response)) as Completion);
}

/** Uploads requests and makes a batch of them. @returns its id */
export async function createBatch(url: string, requests: readonly CompletionBody[]): Promise<string> {
  const lines = requests.map((body, i) => JSON.stringify({ custom_id: `${i}`, method: 'POST', url: ENDPOINT, body }));
  const form = new FormData();
  form.set('purpose', 'batch');
  form.set('file', new Blob([lines.join('\n')]), 'requests.jsonl');
  const file = JSON.parse(await answerOf(await fetch(`${url}/v1/files`, { method: 'POST', body: form })));
  const wish = { input_file_id: file.id, endpoint: ENDPOINT, completion_window: '24h' };
  const created = await fetch(`${url}/v1/batches`, { method: 'POST', body: JSON.stringify(wish) });
  return (JSON.parse(await answerOf(created)) as BatchState).id;
}

/** Waits until a batch has so many results. @throws StarlingError internal when it cannot come to have them */
export const batchWith = (url: string, id: string, results: number): Promise<BatchState> =>
  batchOnce(url, id, ({ request_counts }) => request_counts.completed >= results);

/** Waits until a batch is completed. @throws StarlingError internal when it ends otherwise */
export const batchDone = (url: string, id: string): Promise<BatchState> =>
  batchOnce(url, id, ({ status }) => status === 'completed');

async function batchOnce(url: string, id: string, is: (batch: BatchState) => boolean): Promise<BatchState> {
  for (;;) {
    const batch: BatchState = JSON.parse(await answerOf(await fetch(`${url}/v1/batches/${id}`)));
    if (is(batch)) return batch;
    const { status, request_counts: counts } = batch;
    if (!['validating', 'in_progress', 'finalizing'].includes(status) || counts.failed > 0)
      throw new StarlingError('internal', `the batch is ${status}, ${counts.failed} of its requests failed`);
    await sleep(LOOK_MS);
  }
}

/** The texts of a batch in the order of its requests. @throws StarlingError internal unless each has exactly one */
export async function batchTexts(url: string, fileId: string, requests: number): Promise<string[]> {
  const lines = (await answerOf(await fetch(`${url}/v1/files/${fileId}/content`))).trimEnd().split('\n');
  const texts = new Map(
    lines.map((line) => {
      const { custom_id, response }: { custom_id: string; response: { body: Completion } } = JSON.parse(line);
      return [Number(custom_id), textOf(response.body)];
    }),
  );
  const ordered = Array.from({ length: requests }, (_, i) => texts.get(i));
  if (lines.length === requests && ordered.every((text) => text !== undefined)) return ordered;
  throw new StarlingError('internal', `${lines.length} results of ${texts.size} requests; there were ${requests}`);
}

/** Steps that the endpoint has computed, and rows in them. */
export async function stepsOf(url: string): Promise<{ readonly steps: number; readonly rows: number }> {
  const text = await answerOf(await fetch(`${url}/metrics`));
  const count = (name: string): number => Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(text)?.[1] ?? Number.NaN);
  return { steps: count('starling_steps_total'), rows: count('starling_rows_total') };
}

function textOf({ choices }: Completion): string {
  const [choice] = choices;
  if (choice !== undefined) return choice.text;
  throw new StarlingError('internal', 'an answer without a choice');
}
