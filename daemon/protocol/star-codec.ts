import { activationBytes } from '../../kernels/formats.ts';
import {
  type EngineSpec,
  expertsOf,
  HEAD,
  hasFactors,
  inputFormat,
  MAX_PHASES,
  MAX_ROWS,
  type Phase,
  pagesFor,
  ropeValues,
} from '../engine/engine-spec.ts';
import { areFactors, factorBytes } from '../engine/factors.ts';
import { areRoutes, routeBytes } from '../engine/routes.ts';
import { type RowRange, rowsOf, type Step } from '../engine/step.ts';
import type { EngineUsage } from '../engine/usage.ts';
import { StarlingError } from '../errors.ts';
import { FRAME_TYPES, type FrameFields, type FrameHeader } from './frames.ts';

/**
 * What travels in a star: STEP and INPUT from the coordinator, SUMS and LOGITS back (docs/PROTOCOL.md has the table).
 */

/** One phase of a step, for some of its rows. */
export interface PhaseOfStep {
  readonly step: number;
  /** 0 for the head. */
  readonly layer: number;
  readonly phase: Phase;
  readonly rows: RowRange;
}

/** @param heads how many rows logits are wanted of */
export const stepFrame = (step: number, rows: number, heads: number): FrameFields => ({
  type: FRAME_TYPES.STEP,
  step,
  rows,
  index: heads,
});

/** The frame that gives a phase out. */
export const inputFrame = (of: PhaseOfStep): FrameFields => phaseFrame(FRAME_TYPES.INPUT, of);

/** The frame that answers a phase, or some rows of it. */
export const answerFrame = (of: PhaseOfStep): FrameFields =>
  phaseFrame(of.phase === HEAD ? FRAME_TYPES.LOGITS : FRAME_TYPES.SUMS, of);

function phaseFrame(type: FrameFields['type'], { step, layer, phase, rows }: PhaseOfStep): FrameFields {
  return { type, step, layer, phase, index: rows.first, rows: rows.count };
}

/** Whether a frame is about this phase, or some rows of it. */
export const isAbout = ({ step, layer, phase, index }: FrameHeader, of: PhaseOfStep): boolean =>
  of.step === step &&
  of.layer === layer &&
  of.phase === phase &&
  index >= of.rows.first &&
  index < of.rows.first + of.rows.count;

/**
 * Reads and checks an INPUT.
 * @param rows of the step, and of them those that logits are wanted of
 * @throws StarlingError protocol_invalid_message
 */
export function readInput(
  { step, layer, phase, index: first, rows: count }: FrameHeader,
  payload: Uint8Array,
  spec: EngineSpec,
  rows: { readonly all: number; readonly heads: number },
): PhaseOfStep {
  const isHead = phase === HEAD;
  if (isHead ? layer !== 0 : phase >= (spec.layers[layer]?.length ?? 0)) {
    throw new StarlingError('protocol_invalid_message', `there is no phase ${phase} of layer ${layer}`);
  }
  const most = isHead ? rows.heads : rows.all;
  const activations = count * activationBytes(inputFormat(spec, layer, phase), spec.cols);
  const experts = expertsOf(spec, layer, phase);
  const hasNorms = hasFactors(spec, layer, phase);
  const expected =
    activations + (experts === null ? 0 : count * routeBytes(experts)) + (hasNorms ? factorBytes(count) : 0);
  if (count === 0 || first + count > most || payload.length !== expected) {
    throw new StarlingError(
      'protocol_invalid_message',
      `input of ${payload.length} bytes for ${count} rows from row ${first} on, which take ${expected}; there are ${most}`,
    );
  }
  if (experts !== null && !areRoutes(payload.subarray(activations), experts))
    throw new StarlingError('protocol_invalid_message', `input of layer ${layer} names networks that there are not`);
  if (hasNorms && !areFactors(payload.subarray(activations)))
    throw new StarlingError(
      'protocol_invalid_message',
      `input of layer ${layer} norms by factors that are out of range`,
    );
  return { step, layer, phase, rows: { first, count } };
}

/** What waits for an answer are told apart by, as they take about as long when they are alike: see Poller.begin. */
export const waitKind = (phase: Phase, rows: number): number => phase + (MAX_PHASES + 1) * rows;

/** Bytes before the content of an answer: what the device has done since its last one. */
export const USAGE_BYTES = 16;

/**
 * The payload of a STEP frame; all little-endian u32 but the last part:
 *
 * | part | content |
 * |---|---|
 * | 1 | number of sequences S |
 * | rows × 2 | position, sequence (below S) |
 * | S × (1 + pages) | number of pages, then their ids |
 * | rows × width × f32, for each of EngineSpec.ropes | rotary table: (cos, sin) pairs |
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
  const table = take(rows * ropeValues(spec));
  if (at !== words.length) throw invalid('it is too long');
  return { positions, sequences, pages, rope: new Float32Array(table.buffer, table.byteOffset, table.length) };
}

function invalid(what: string): StarlingError {
  return new StarlingError('protocol_invalid_message', `a step is malformed: ${what}`);
}

/** u32 microseconds computing, u32 microseconds waiting for the disk, u64 bytes read. */
export function encodeUsage({ computeMs, diskMs, bytesRead }: EngineUsage): Uint8Array {
  const bytes = Buffer.alloc(USAGE_BYTES);
  bytes.writeUInt32LE(microseconds(computeMs), 0);
  bytes.writeUInt32LE(microseconds(diskMs), 4);
  bytes.writeBigUInt64LE(BigInt(Math.max(0, bytesRead)), 8);
  return bytes;
}

/**
 * @throws StarlingError protocol_invalid_message for a payload that is too short, or a number beyond what can be
 * counted
 */
export function decodeUsage(payload: Uint8Array): EngineUsage {
  if (payload.length < USAGE_BYTES) {
    throw new StarlingError('protocol_invalid_message', `an answer of ${payload.length} bytes comes without its usage`);
  }
  const bytes = Buffer.from(payload.buffer, payload.byteOffset, USAGE_BYTES);
  const bytesRead = Number(bytes.readBigUInt64LE(8));
  if (!Number.isSafeInteger(bytesRead)) {
    throw new StarlingError('protocol_invalid_message', 'a device claims to have read more bytes than can be counted');
  }
  return { computeMs: bytes.readUInt32LE(0) / 1000, diskMs: bytes.readUInt32LE(4) / 1000, bytesRead };
}

const microseconds = (milliseconds: number): number =>
  Math.min(0xffff_ffff, Math.max(0, Math.round(milliseconds * 1000)));
