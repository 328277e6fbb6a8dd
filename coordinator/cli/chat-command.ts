import { createInterface } from 'node:readline/promises';
import type { Readable, Writable } from 'node:stream';
import { Command, Option } from 'commander';
import { toStarlingError } from '../../daemon/errors.ts';
import { DEFAULT_HTTP_HOST, DEFAULT_HTTP_PORT } from '../http/server.ts';
import { AnswerPrinter } from './answer-printer.ts';
import { type ChatTurn, servedModel, streamChat } from './chat-client.ts';
import { decimal, integer } from './options.ts';

interface ChatOptions {
  readonly url: string;
  readonly apiKey?: string;
  readonly model?: string;
  readonly system?: string;
  readonly temperature: number;
  readonly maxTokens?: number;
}

export interface ChatCommandDeps {
  readonly stdin: Readable & { readonly isTTY?: boolean };
  readonly stdout: Writable & { readonly isTTY?: boolean };
  readonly stderr: (text: string) => void;
}

export function chatCommand({ stdin, stdout, stderr }: ChatCommandDeps): Command {
  return new Command('chat')
    .description('chat in the terminal with a running endpoint')
    .option('--url <url>', 'the endpoint', `http://${DEFAULT_HTTP_HOST}:${DEFAULT_HTTP_PORT}`)
    .addOption(new Option('--api-key <key>', 'the key of the endpoint, where it asks for one').env('STARLING_API_KEY'))
    .option('--model <name>', 'the model (default: the first that the endpoint serves)')
    .option('--system <text>', 'a system message to begin with')
    .option('--temperature <t>', '0 always takes the likeliest token', decimal(0, 100), 0.7)
    .option('--max-tokens <n>', 'most tokens of an answer', integer(1, 2 ** 20))
    .addHelpText(
      'after',
      `
In the chat: /reset forgets the conversation, /exit ends; Ctrl-C stops an answer, and between answers ends. Without a terminal
every line of standard input is a message. What a model thinks before it answers is shown on a terminal only.

Examples:
  $ starling chat
  $ starling chat --url http://192.168.1.20:7827 --system "Answer in one sentence."
  $ echo "Tell me a story about a dog." | starling chat`,
    )
    .action(async (options: ChatOptions) => {
      const model = options.model ?? (await servedModel(options.url, options.apiKey));
      const start: ChatTurn[] = options.system === undefined ? [] : [{ role: 'system', content: options.system }];
      const terminal = stdin.isTTY === true;
      const lines = createInterface({ input: stdin, ...(terminal ? { output: stdout, prompt: '> ' } : {}) });
      let messages = start;
      let answering: AbortController | undefined;
      lines.on('SIGINT', () => {
        if (answering === undefined) lines.close();
        else answering.abort();
      });
      if (terminal) {
        stderr(`${model} at ${options.url}; /exit ends\n`);
        lines.prompt();
      }
      for await (const line of lines) {
        const content = line.trim();
        if (content === '/exit') break;
        if (content === '/reset') messages = start;
        else if (content !== '') {
          answering = new AbortController();
          const printer = new AnswerPrinter((text) => stdout.write(text), stdout.isTTY === true);
          try {
            messages = [...messages, { role: 'user', content }];
            let answer = '';
            for await (const part of streamChat({ ...options, model, messages, signal: answering.signal })) {
              answer += part.text;
              printer.print(part);
            }
            messages = [...messages, { role: 'assistant', content: answer }];
          } catch (thrown) {
            if (!answering.signal.aborted && !terminal) throw thrown;
            // The message that failed is not part of the conversation; the user may ask again.
            messages = messages.slice(0, -1);
            if (!answering.signal.aborted) stderr(toStarlingError(thrown).message);
          }
          stdout.write('\n');
          answering = undefined;
        }
        if (terminal) lines.prompt();
      }
      lines.close();
    });
}
