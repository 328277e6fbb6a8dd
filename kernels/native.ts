import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { ACTIVATION_FORMATS, ACTIVATION_FUNCTIONS, KV_FORMATS, WEIGHT_FORMATS } from './formats.ts';
import type { Address, Kernels } from './kernels.ts';
import { attentionWords, feedForwardWords, keyValueWords } from './tile-words.ts';

/** A kernel's parameters after the format. */
type Rest<Kernel> = Kernel extends (format: never, ...rest: infer R) => unknown ? R : never;

/** A kernel whose first parameter is a format, with the format's number in its place. */
type ByNumber<Kernel> = Kernel extends (format: never, ...rest: infer R) => infer Result
  ? (format: number, ...rest: R) => Result
  : never;

/** The addon's methods: those of Kernels, with numbers for formats and booleans. */
interface Addon
  extends Pick<
    Kernels,
    | 'quantizePanel'
    | 'quantize'
    | 'rmsnorm'
    | 'rope'
    | 'addScaled'
    | 'scaleRows'
    | 'applyNorm'
    | 'addSums'
    | 'fromSums'
    | 'residual'
    | 'packSums'
    | 'unpackSums'
    | 'keyValue'
    | 'queries'
  > {
  readonly matmul: ByNumber<Kernels['matmul']>;
  readonly packPanel: ByNumber<Kernels['packPanel']>;
  readonly repack: ByNumber<Kernels['repack']>;
  readonly kvStore: ByNumber<Kernels['kvStore']>;
  readonly attend: ByNumber<Kernels['attend']>;
  readonly glu: ByNumber<Kernels['glu']>;
  matmulSums(
    format: number,
    ...rest: [...Rest<Kernels['matmul']>, limit: number, fresh: number, list: Address | null]
  ): boolean;
  prepareFeedForward(words: Float64Array, caches: number): number;
  prepareKeyValue(words: Float64Array, caches: number): number;
  prepareAttention(words: Float64Array, caches: number): number;
  readonly gatherPanel: ByNumber<Kernels['gatherPanel']>;
  expert(
    prepared: number,
    first: number,
    rows: number,
    list: Address,
    weights: Address,
    count: number,
    fresh: number,
  ): boolean;
  feedForward(prepared: number, first: number, rows: number, fresh: number): boolean;
  attention(prepared: number, first: number, rows: number, fresh: number): boolean;
}

/** One data link's sealed messages; kernels/native/channel-addon.h has the contract of each. */
export interface NativeChannel {
  send(descriptor: number, header: Uint8Array, ...payloads: Uint8Array[]): number;
  rest(target: Uint8Array): void;
  receive(descriptor: number): number;
  feed(bytes: Uint8Array): void;
  next(): number;
  open(target: Uint8Array): boolean;
  closing(): Buffer;
}

interface NativeModule {
  open(segments: readonly Uint8Array[], target?: string): Addon;
  useHugePages(segment: Uint8Array): void;
  uncached(descriptor: number): void;
  /** Missing where the system or the Node that runs has not what it takes. */
  readonly openChannel?: (sealKey: Uint8Array, openKey: Uint8Array, masks: boolean) => NativeChannel;
  /** Instruction sets that this machine has kernels for, best first. */
  readonly targets: readonly string[];
}

/** Built by scripts/build-native.mjs; the same place seen from kernels/ and from dist/kernels/. */
const ADDON_PATHS = ['./native/build/Release/starling.node', '../../kernels/native/build/Release/starling.node'];

function addonPath(): string | undefined {
  return ADDON_PATHS.map((path) => fileURLToPath(new URL(path, import.meta.url))).find((path) => existsSync(path));
}

/** Loads the addon, or null where it was not built. */
function loadNative(): NativeModule | null {
  const path = addonPath();
  if (path === undefined) return null;
  return createRequire(import.meta.url)(path) as NativeModule;
}

/**
 * Names an instruction set beyond which the native kernels are not to go, although the machine does: see
 * PERFORMANCE.md.
 */
export const ISA_VARIABLE = 'STARLING_ISA';

/**
 * The instruction sets that the native kernels can use here, best first; none where they were not built or do not load.
 * @throws RangeError when STARLING_ISA names another
 */
export function nativeTargets(): readonly string[] {
  const limit = process.env[ISA_VARIABLE];
  const targets = builtTargets();
  if (limit === undefined || targets.length === 0) return targets;
  const from = targets.indexOf(limit);
  if (from < 0) {
    throw new RangeError(
      `${ISA_VARIABLE} is "${limit}", and the native kernels have ${targets.join(', ')} here: unset it`,
    );
  }
  return targets.slice(from);
}

function builtTargets(): readonly string[] {
  try {
    return loadNative()?.targets ?? [];
  } catch {
    // An addon built for another machine or C library: the same as none.
    return [];
  }
}

/**
 * Asks the system for huge pages behind a segment that nobody has touched yet; changes nothing where there are none.
 */
export function useHugePages(segment: SharedArrayBuffer): void {
  loadNative()?.useHugePages(new Uint8Array(segment));
}

/**
 * Keeps what is read of an open file out of the system's cache; to be called before and after reading. Does nothing
 * where the addon was not built.
 */
export function keepUncached(descriptor: number): void {
  // An addon built for another machine or C library does not load: the same as none.
  if (nativeTargets().length > 0) loadNative()?.uncached(descriptor);
}

/** What opens native channels, or null where there are none. */
export function openNativeChannel(): NonNullable<NativeModule['openChannel']> | null {
  // An addon built for another machine or C library does not load: the same as none.
  return nativeTargets().length === 0 ? null : (loadNative()?.openChannel ?? null);
}

/** @param target one of nativeTargets, for tests; the best otherwise. @throws Error when there is no addon */
export function createNativeKernels(segments: readonly SharedArrayBuffer[], target = nativeTargets()[0]): Kernels {
  const native = loadNative();
  if (native === null || target === undefined) throw new Error('the native kernels are not built');
  // `addon` keeps the views, and with them the segments, alive; the functions that name it keep `addon`.
  const addon = native.open(
    segments.map((segment) => new Uint8Array(segment)),
    target,
  );
  return {
    backend: 'native',
    matmul: (format, ...rest) => addon.matmul(WEIGHT_FORMATS[format].id, ...rest),
    matmulSums: (format, weights, outRows, cols, panel, rows, sums, sumStride, limit, fresh, list) =>
      addon.matmulSums(
        WEIGHT_FORMATS[format].id,
        weights,
        outRows,
        cols,
        panel,
        rows,
        sums,
        sumStride,
        limit,
        Number(fresh),
        list,
      ),
    gatherPanel: (format, ...rest) => addon.gatherPanel(ACTIVATION_FORMATS[format].id, ...rest),
    packPanel: (format, ...rest) => addon.packPanel(ACTIVATION_FORMATS[format].id, ...rest),
    quantizePanel: addon.quantizePanel,
    prepareFeedForward: (work) => addon.prepareFeedForward(feedForwardWords(work), 0),
    prepareKeyValue: (work) => addon.prepareKeyValue(keyValueWords(work), 0),
    prepareAttention: (work) => addon.prepareAttention(attentionWords(work), work.caches.length),
    feedForward: (prepared, first, rows, fresh) => addon.feedForward(prepared, first, rows, Number(fresh)),
    expert: (prepared, first, rows, list, weights, count, fresh) =>
      addon.expert(prepared, first, rows, list, weights, count, Number(fresh)),
    keyValue: addon.keyValue,
    queries: addon.queries,
    attention: (prepared, first, rows, fresh) => addon.attention(prepared, first, rows, Number(fresh)),
    repack: (format, ...rest) => addon.repack(WEIGHT_FORMATS[format].id, ...rest),
    kvStore: (format, ...rest) => addon.kvStore(KV_FORMATS[format].id, ...rest),
    attend: (format, ...rest) => addon.attend(KV_FORMATS[format].id, ...rest),
    quantize: addon.quantize,
    rmsnorm: addon.rmsnorm,
    rope: addon.rope,
    glu: (activation, ...rest) => addon.glu(ACTIVATION_FUNCTIONS[activation].id, ...rest),
    addScaled: addon.addScaled,
    scaleRows: addon.scaleRows,
    applyNorm: addon.applyNorm,
    addSums: addon.addSums,
    fromSums: addon.fromSums,
    residual: addon.residual,
    packSums: addon.packSums,
    unpackSums: addon.unpackSums,
  };
}
