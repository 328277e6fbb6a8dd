import { type EngineSpec, MAX_ROWS, pagesFor } from '../engine/engine-spec.ts';
import { rowsOf, type Step } from '../engine/step.ts';
import { StarlingError } from '../errors.ts';

/**
 * The payload of a STEP frame; all little-endian u32 but the last part:
 *
 * | part | content |
 * |---|---|
 * | 1 | number of sequences S |
 * | rows × 2 | position, sequence (below S) |
 * | S × (1 + pages) | number of pages, then their ids |
 * | rows × headDim × f32 | rotary table: (cos, sin) pairs |
 *
 * The number of rows is in the frame's header.
 */
export function encodeStep(step: Step): Uint8Array {
  const rows = rowsOf(step);
  const pageWords = step.pages.reduce((sum, pages) => sum + 1 + pages.length, 0);
  const words = new Uint32Array(1 + rows * 2 + pageWords + step.rope.length);
  words[0] = step.pages.length;
  let at = 1;
  for (let row = 0; row < rows; row++) {
    words[at++] = step.positions[row]!;
    words[at++] = step.sequences[row]!;
  }
  for (const pages of step.pages) {
    words[at++] = pages.length;
    words.set(pages, at);
    at += pages.length;
  }
  new Float32Array(words.buffer, at * 4).set(step.rope);
  return new Uint8Array(words.buffer);
}

/**
 * Reads and checks a STEP payload: whatever it says, computing it touches this engine's pages only.
 * @throws StarlingError protocol_invalid_message
 */
export function decodeStep(payload: Uint8Array, rows: number, spec: EngineSpec): Step {
  if (rows < 1 || rows > MAX_ROWS) throw invalid(`${rows} rows; 1 to ${MAX_ROWS} are possible`);
  if (payload.length % 4 !== 0) throw invalid(`${payload.length} bytes`);
  // A copy, because a received payload is a view at any alignment.
  const words = new Uint32Array(new Uint8Array(payload).buffer);
  let at = 0;
  const take = (count: number): Uint32Array => {
    if (count > words.length - at) throw invalid('it ends early');
    at += count;
    return words.subarray(at - count, at);
  };
  const [sequenceCount] = take(1) as unknown as [number];
  if (sequenceCount < 1 || sequenceCount > rows) throw invalid(`${sequenceCount} sequences in ${rows} rows`);
  const pairs = take(rows * 2);
  const positions = pairs.filter((_, i) => i % 2 === 0);
  const sequences = Uint16Array.from(pairs.filter((_, i) => i % 2 === 1));
  const pages = Array.from({ length: sequenceCount }, () => {
    const [length] = take(1) as unknown as [number];
    if (length > spec.kvPages) throw invalid(`${length} pages in one sequence; there are ${spec.kvPages}`);
    return take(length);
  });
  if (pages.some((ids) => ids.some((id) => id >= spec.kvPages))) throw invalid('a page that does not exist');
  for (let row = 0; row < rows; row++) {
    const table = pairs[row * 2 + 1]! < sequenceCount ? pages[sequences[row]!] : undefined;
    if (table === undefined) throw invalid(`row ${row} is of no sequence`);
    if (pagesFor(positions[row]! + 1) > table.length)
      throw invalid(`row ${row} has no page for position ${positions[row]}`);
  }
  const table = take(rows * spec.headDim);
  if (at !== words.length) throw invalid('it is too long');
  return { positions, sequences, pages, rope: new Float32Array(table.buffer, table.byteOffset, table.length) };
}

function invalid(what: string): StarlingError {
  return new StarlingError('protocol_invalid_message', `a step is malformed: ${what}`);
}
