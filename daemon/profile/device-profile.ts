import { z } from 'zod';
import { WEIGHT_FORMATS, type WeightFormat } from '../../kernels/formats.ts';

/** Bytes a millisecond: 1e6 of them are a GB/s. */
const rate = z.number().positive().max(1e12);

/** How fast something is read and computed with, in bytes of it a millisecond. */
const ratesSchema = z.strictObject({
  /** For one row, by one thread while the others rest. */
  lone: rate,
  /** For one row, by all threads together. */
  all: rate,
  /** For MAX_ROWS rows at once, by all threads together. */
  wide: rate,
});

/** What a device can do, as it measured with the kernels and threads that it will use. */
export const deviceProfileSchema = z.strictObject({
  /** Bytes of weights, by their format; of those that were asked for. */
  formats: z.partialRecord(z.enum(Object.keys(WEIGHT_FORMATS) as [WeightFormat, ...WeightFormat[]]), ratesSchema),
  /** Bytes of cached keys and values that rows attend to. */
  attention: ratesSchema,
  /** Milliseconds that a phase of one row takes beside its tiles. */
  phaseMs: z.number().min(0).max(1e4),
  /** Bytes of tiles that are read from its disk in a millisecond, past the system's cache, and checked. */
  disk: rate,
  /** Milliseconds of a core that reading and checking a byte of them takes. */
  readingMs: z.number().min(0).max(1),
  memory: z.strictObject({
    /** Bytes that its owner allows, and what the process has without an engine, and what a thread adds. */
    budget: z.int().min(0),
    base: z.int().min(0),
    threadBytes: z.int().min(0),
  }),
});

export type Rates = z.infer<typeof ratesSchema>;
export type DeviceProfile = z.infer<typeof deviceProfileSchema>;

/** What lies between the serving device and another one, as the serving device measured it. */
export interface LinkProfile {
  /** Milliseconds from a phase's input on its way to an answer of the same length back: the middle one. */
  readonly roundTripMs: number;
  /** By how much a tenth of them is longer. */
  readonly jitterMs: number;
  /** Bytes a millisecond, in the slower direction. */
  readonly bytesPerMs: number;
}
