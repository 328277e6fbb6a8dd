import { createReadStream } from 'node:fs';

export interface Line {
  /** From 1. */
  readonly number: number;
  /** Of its first byte in the file. */
  readonly offset: number;
  /** Without the line feed. */
  readonly bytes: number;
  /** Null when it is longer than allowed. */
  readonly text: string | null;
  /** Whether a line feed ends it: without one, the last line may have been cut off. */
  readonly isEnded: boolean;
}

const LINE_FEED = 10;

/**
 * The lines of a file, one after the other, of any number.
 * @param most bytes of a line; of longer ones nothing is held
 * @throws the system's error
 */
export async function* linesOf(file: string, most: number): AsyncGenerator<Line, void, undefined> {
  let number = 1;
  let offset = 0;
  let bytes = 0;
  let parts: Buffer[] = [];
  const take = (part: Buffer): void => {
    bytes += part.length;
    if (bytes > most) parts = [];
    else parts.push(part);
  };
  const line = (isEnded: boolean): Line => {
    // A decoder of its own leaves out the mark that some editors begin a file with.
    const text = bytes > most ? null : new TextDecoder().decode(Buffer.concat(parts));
    const ended = { number, offset, bytes, text, isEnded };
    number++;
    offset += bytes + 1;
    bytes = 0;
    parts = [];
    return ended;
  };
  for await (const chunk of createReadStream(file) as AsyncIterable<Buffer>) {
    let start = 0;
    for (let end = chunk.indexOf(LINE_FEED); end >= 0; end = chunk.indexOf(LINE_FEED, start)) {
      take(chunk.subarray(start, end));
      yield line(true);
      start = end + 1;
    }
    if (start < chunk.length) take(chunk.subarray(start));
  }
  if (bytes > 0) yield line(false);
}
