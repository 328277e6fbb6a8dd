import { open } from 'node:fs/promises';
import { StarlingError } from '../../daemon/errors.ts';
import { beginningOf } from './beginnings.ts';
import { linesOf } from './lines.ts';
import { type InputFault, parseRequestLine, type RequestLine } from './request-line.ts';

/** Bytes of a line: what HTTP takes as a body, and what stands around it. */
export const LONGEST_REQUEST = 4 * 1024 * 1024 + 4096;
/** As at OpenAI. */
export const MOST_REQUESTS = 50_000;
/** Of a file that is no input file at all, the first ones tell enough. */
const MOST_FAULTS = 100;

/** Where a request stands in its file: its text stays there until it is its turn. */
export interface RequestPlace {
  readonly customId: string;
  readonly offset: number;
  readonly bytes: number;
  readonly beginning: Uint32Array;
}

/**
 * Checks an input file and finds its requests.
 * @returns in the order of the file; of no use where there are faults
 * @throws the system's error
 */
export async function readInput(
  file: string,
  endpoint: string,
): Promise<{ readonly requests: readonly RequestPlace[]; readonly faults: readonly InputFault[] }> {
  const requests: RequestPlace[] = [];
  const faults: InputFault[] = [];
  const lineOf = new Map<string, number>();
  for await (const { number, offset, bytes, text } of linesOf(file, LONGEST_REQUEST)) {
    if (text?.trim() === '') continue;
    const request = parseRequestLine(text, endpoint);
    if ('code' in request) {
      faults.push({ ...request, line: number });
    } else if (lineOf.has(request.customId)) {
      const message = `custom_id must be unique, and is that of line ${lineOf.get(request.customId)} already`;
      faults.push({ code: 'duplicate_custom_id', message, param: 'custom_id', line: number });
    } else if (requests.length === MOST_REQUESTS) {
      const message = `a batch has at most ${MOST_REQUESTS} requests; make several of it`;
      faults.push({ code: 'too_many_requests', message, param: null, line: number });
      break;
    } else {
      lineOf.set(request.customId, number);
      requests.push({ customId: request.customId, offset, bytes, beginning: beginningOf(request.body) });
    }
    if (faults.length === MOST_FAULTS) break;
  }
  if (requests.length === 0 && faults.length === 0) {
    faults.push({ code: 'empty_file', message: 'the input file holds no requests', param: null, line: null });
  }
  return { requests, faults };
}

/** Reads single requests of a file that `readInput` found right. */
export interface InputReader {
  /** @throws StarlingError store_failed when the file is not what it was; the system's error */
  read(place: RequestPlace): Promise<RequestLine>;
  close(): Promise<void>;
}

/** @throws the system's error */
export async function openInput(file: string, endpoint: string): Promise<InputReader> {
  const handle = await open(file, 'r');
  return {
    read: async ({ offset, bytes }) => {
      const buffer = Buffer.alloc(bytes);
      const { bytesRead } = await handle.read(buffer, 0, bytes, offset);
      const request = parseRequestLine(new TextDecoder().decode(buffer.subarray(0, bytesRead)), endpoint);
      if (!('code' in request)) return request;
      throw new StarlingError('store_failed', `${file} was changed while its batch ran; upload it again`);
    },
    close: () => handle.close(),
  };
}
