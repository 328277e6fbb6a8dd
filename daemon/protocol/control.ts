import { Packr } from 'msgpackr';
import { z } from 'zod';
import { WEIGHT_FORMATS, type WeightFormat } from '../../kernels/formats.ts';
import { engineSpecSchema, tileShapeSchema } from '../engine/engine-spec.ts';
import { ERRORS, type ErrorCode, StarlingError } from '../errors.ts';
import { DEVICE_ID } from '../identity.ts';
import { deviceProfileSchema } from '../profile/device-profile.ts';
import { isPlainMessagePack } from './plain-msgpack.ts';

/** Version of everything between two devices: control messages, frames and tiles. */
export const PROTOCOL_VERSION = 8;
/** Longest control message; `load` and `missing` for a model of 100 000 tiles fit several times. */
export const MAX_CONTROL = 16 * 2 ** 20;
/** Sessions appear in the path of a data link. */
export const SESSION = /^[A-Za-z0-9_-]{1,64}$/;
/** Tiles of one device; a 70B model has about 11 000 in all. */
export const MAX_TILES = 131_072;

/** A process of a daemon. */
export const RUN_ID = /^[0-9a-f]{16}$/;

const MAX_DEPTH = 12;

const count = z.int().min(0);
const u32 = z.int().min(0).max(0xffff_ffff);
const protocol = z.literal(PROTOCOL_VERSION);
const id = z.string().regex(DEVICE_ID);
const name = z.string().min(1).max(64);
const word = z.string().min(1).max(64);
const modelId = z.string().regex(/^[0-9a-f]{32}$/);
const session = z.string().regex(SESSION);
/** What a session's data link is opened with: SECRET_BYTES random bytes, in hexadecimal. */
const secret = z.string().regex(/^[0-9a-f]{64}$/);
const formats = Object.keys(WEIGHT_FORMATS) as [WeightFormat, ...WeightFormat[]];

const deviceFacts = {
  version: word,
  id,
  name,
  /** Of the daemon's process, at random: two devices of one id, as of a copied home, are told apart by it. */
  run: z.string().regex(RUN_ID),
  platform: word,
  arch: word,
  cores: z.int().min(1).max(65_536),
  /** Memory that the device gives to Starling. */
  memoryBytes: count,
  backend: word,
  threads: z.int().min(1).max(65_536),
  /** Whether a coordinator uses the device now. */
  busy: z.boolean(),
  /** Name of the model in memory. */
  serving: z.string().max(256).nullable(),
};

/** How a device's memory is divided, in bytes, and how many tiles stay in memory or are read for every token. */
const memory = z.strictObject({
  budget: count,
  base: count,
  threads: count,
  caches: count,
  buffers: count,
  pinned: count,
  window: count,
  pinnedTiles: count,
  streamedTiles: count,
});

/** Every control message: its name, and its fields besides `t`. A field that is not listed is an error. */
const FIELDS = {
  hello: { protocol, id, name, purpose: z.enum(['serve', 'status']) },
  welcome: { protocol, ...deviceFacts },
  load: {
    session,
    secret,
    modelId,
    modelName: z.string().min(1).max(256),
    engine: engineSpecSchema,
    tiles: z.array(tileShapeSchema).max(MAX_TILES),
  },
  /** Places in `load.tiles` of tiles that the device does not have, or found damaged. */
  missing: { indices: z.array(u32).max(MAX_TILES) },
  start: {},
  /** Bytes of tiles read into memory, or measurements made. */
  progress: { done: count, total: count },
  ready: { memory },
  unload: {},
  /** Has a device that is free tell what it can do with weights of some formats; its session is for its link alone. */
  measure: { session, secret, formats: z.array(z.enum(formats)).max(formats.length) },
  profile: deviceProfileSchema.shape,
  /** What the device keeps of what it measured is not so. */
  forget: {},
  /** From this computer only: it computes this device's share of a model by itself. */
  borrow: { modelName: z.string().min(1).max(256) },
  /** Bytes that the daemon has resident while its device is lent. */
  lent: { residentBytes: count },
  status_request: {},
  status: {
    ...deviceFacts,
    model: z.string().max(256).nullable(),
    /** Whether it is lent: the coordinator computes its share by itself. */
    lent: z.boolean(),
    tiles: count,
    /** Bytes of all tiles on disk, and of the process in memory. */
    storeBytes: count,
    rssBytes: count,
    /** Null unless it is ready to compute. */
    memory: memory.nullable(),
  },
  error: { code: z.string().regex(/^[a-z_]{1,64}$/), message: z.string().max(4096), fatal: z.boolean() },
  ping: { n: u32 },
  pong: { n: u32 },
} as const;

export type ControlType = keyof typeof FIELDS;

/** A control message of the type (or types) `T`. */
export type Control<T extends ControlType> = T extends ControlType ? Checked<T, (typeof FIELDS)[T]> : never;

type Checked<T extends string, F extends z.core.$ZodShape> = z.infer<
  z.ZodObject<F & { t: z.ZodLiteral<T> }, z.core.$strict>
>;

/** Any control message. */
export type ControlMessage = Control<ControlType>;

type ReadonlyDeep<T> = T extends object ? { readonly [K in keyof T]: ReadonlyDeep<T[K]> } : T;

/** A control message as a sender may hold it: nothing in it is changed. */
export type OutgoingControl = ReadonlyDeep<ControlMessage>;

const schemas = new Map<string, z.ZodType>(
  Object.entries(FIELDS).map(([t, fields]) => [t, z.strictObject({ t: z.literal(t), ...fields })]),
);

const packr = new Packr({ useRecords: false, mapsAsObjects: true });

/** @throws StarlingError protocol_frame_too_long */
export function encodeControl(message: OutgoingControl): Buffer {
  // packing reuses one buffer: a view of it would change with the next message
  const bytes = Buffer.from(packr.pack(message));
  if (bytes.length > MAX_CONTROL) throw tooLong(message.t, bytes.length);
  return bytes;
}

/**
 * @throws StarlingError protocol_frame_too_long, protocol_version when a greeting is of another version, or
 * protocol_invalid_message naming the message and the first field at fault
 */
export function decodeControl(bytes: Buffer): ControlMessage {
  if (bytes.length > MAX_CONTROL) throw tooLong('received', bytes.length);
  const value = unpack(bytes);
  const t = property(value, 't');
  const schema = typeof t === 'string' ? schemas.get(t) : undefined;
  if (schema === undefined) {
    throw new StarlingError(
      'protocol_invalid_message',
      'a control message is of no known type; do both sides run one version?',
    );
  }
  const theirs = property(value, 'protocol');
  // before the fields: those of another version may well differ
  if ((t === 'hello' || t === 'welcome') && typeof theirs === 'number' && theirs !== PROTOCOL_VERSION) {
    throw new StarlingError(
      'protocol_version',
      `the other side speaks protocol ${theirs}, this one ${PROTOCOL_VERSION}; run the same version of Starling on both`,
    );
  }
  const result = schema.safeParse(value);
  if (!result.success) {
    const issue = result.error.issues[0];
    const where = issue === undefined ? '' : ` (${issue.path.join('.').slice(0, 100)}: ${issue.message.slice(0, 200)})`;
    throw new StarlingError('protocol_invalid_message', `control message ${t} is malformed${where}`);
  }
  return result.data as ControlMessage;
}

/** An error as the other side is told of it. */
export function errorMessage(error: StarlingError, fatal: boolean): Control<'error'> {
  return { t: 'error', code: error.code, message: error.message.slice(0, 4096), fatal };
}

/** The error that the other side told of; a code that this version does not know becomes device_error. */
export function errorFrom(message: Control<'error'>, remote: string): StarlingError {
  const code: ErrorCode = Object.hasOwn(ERRORS, message.code) ? (message.code as ErrorCode) : 'device_error';
  return new StarlingError(code, `${remote}: ${message.message}`);
}

function unpack(bytes: Buffer): unknown {
  const plain = isPlainMessagePack(bytes, MAX_DEPTH);
  try {
    if (plain) return packr.unpack(bytes);
  } catch {
    // told below, without the decoder's words, which quote the message
  }
  throw new StarlingError(
    'protocol_invalid_message',
    `a control message of ${bytes.length} bytes is not plain MessagePack`,
  );
}

function property(value: unknown, key: string): unknown {
  return typeof value === 'object' && value !== null && Object.hasOwn(value, key) ? Reflect.get(value, key) : undefined;
}

function tooLong(what: string, length: number): StarlingError {
  return new StarlingError(
    'protocol_frame_too_long',
    `control message (${what}) of ${length} bytes exceeds the limit of ${MAX_CONTROL}`,
  );
}
