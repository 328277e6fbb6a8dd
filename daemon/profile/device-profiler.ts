import { cpus } from 'node:os';
import type { WeightFormat } from '../../kernels/formats.ts';
import { nativeTargets } from '../../kernels/native.ts';
import { StarlingError } from '../errors.ts';
import type { Logger } from '../log.ts';
import type { TileStore } from '../store/tile-store.ts';
import { Turns } from '../turns.ts';
import type { DeviceProfile, Rates } from './device-profile.ts';
import { type DiskSpeed, measureDisk } from './measure-disk.ts';
import { type MeasureEngineOptions, measureAttention, measureFormat } from './measure-engine.ts';
import { type KeptComputing, type KeptProfile, ProfileFile } from './profile-file.ts';
import type { Compute } from './synthetic-engine.ts';

export interface DeviceProfilerOptions extends Compute {
  /** Where it is kept. */
  readonly file: string;
  readonly store: TileStore;
  /** Of Starling. */
  readonly version: string;
  readonly log: Logger;
  /** Milliseconds since 1970. */
  readonly now?: () => number;
  /** What measures; a test hands in its own. */
  readonly measure?: Measurements;
}

/** How the parts of a profile are measured. */
export interface Measurements {
  format(format: WeightFormat, phaseMs: number, options: MeasureEngineOptions): Promise<Rates>;
  attention(options: MeasureEngineOptions): Promise<Pick<DeviceProfile, 'attention' | 'phaseMs'>>;
  disk(store: TileStore): Promise<DiskSpeed>;
}

export interface ProfileOptions {
  /** Told of measurements done; of those that are kept already it is told nothing. */
  readonly onProgress?: (done: number, total: number) => void;
  readonly signal?: AbortSignal;
}

/** Devices change: cooling, other programs, another disk. */
const KEPT_MS = 7 * 24 * 3600 * 1000;

const MEASUREMENTS: Measurements = { format: measureFormat, attention: measureAttention, disk: measureDisk };

/** Knows what this device can do: from its file, or by measuring what is not in it, or not for what it is used now. */
export class DeviceProfiler {
  readonly #options: DeviceProfilerOptions;
  readonly #file: ProfileFile;
  readonly #now: () => number;
  readonly #measure: Measurements;
  /** What is asked later finds what was done before. */
  readonly #turns = new Turns();

  constructor(options: DeviceProfilerOptions) {
    this.#options = options;
    this.#file = new ProfileFile(options.file, options.log);
    this.#now = options.now ?? Date.now;
    this.#measure = options.measure ?? MEASUREMENTS;
  }

  /**
   * What this device can do with weights of some formats. Nothing else may compute on it meanwhile. What was measured
   * before an error or the signal is kept.
   * @throws StarlingError memory_too_small; store_failed; cancelled by the signal
   */
  profile(formats: readonly WeightFormat[], options: ProfileOptions = {}): Promise<DeviceProfile> {
    return this.#turns.take(() => this.#profile(formats, options));
  }

  /** Has everything measured anew when it is asked for again. @throws StarlingError store_failed */
  forget(): Promise<void> {
    return this.#turns.take(() => this.#file.remove());
  }

  async #profile(formats: readonly WeightFormat[], options: ProfileOptions): Promise<DeviceProfile> {
    const { store, memory } = this.#options;
    const { signal } = options;
    const heedSignal = (): void => {
      if (signal?.aborted) throw new StarlingError('cancelled', 'measuring this device was stopped');
    };
    heedSignal();
    const compute: MeasureEngineOptions = { ...this.#options, signal };
    let { own, disk, rest } = this.#sort(await this.#file.read());
    const wanted = [...new Set(formats)].filter((format) => own.formats[format] === undefined);
    const total = wanted.length + Number(own.engine === undefined) + Number(disk === undefined);
    let done = 0;
    const keep = async (): Promise<void> => {
      const disks = disk === undefined ? rest.disks : [disk, ...rest.disks];
      await this.#file.write({ version: 1, computing: [own, ...rest.computing], disks });
      options.onProgress?.(++done, total);
      heedSignal();
    };
    if (total > 0) options.onProgress?.(0, total);
    const engine = own.engine ?? { ...(await this.#measure.attention(compute)), at: this.#now() };
    if (own.engine === undefined) {
      own = { ...own, engine };
      await keep();
    }
    for (const format of wanted) {
      const rates = await this.#measure.format(format, engine.phaseMs, compute);
      own = { ...own, formats: { ...own.formats, [format]: { rates, at: this.#now() } } };
      await keep();
    }
    if (disk === undefined) {
      disk = { key: store.folder, ...(await this.#measure.disk(store)), at: this.#now() };
      await keep();
    }
    const rates = formats.map((format) => [format, own.formats[format]!.rates] as const);
    const { attention, phaseMs } = engine;
    // Last, as measuring takes memory too; and never from the file: what is free changes from hour to hour.
    const { threadBytes } = memory;
    const ofMemory = { budget: memory.budget(), base: await memory.base(), threadBytes };
    return {
      formats: Object.fromEntries(rates),
      attention,
      phaseMs,
      disk: disk.rate,
      readingMs: disk.coreMs,
      memory: ofMemory,
    };
  }

  /** What of the file counts for this use of the device, and what is kept for others. */
  #sort({ computing, disks }: KeptProfile): {
    own: KeptComputing;
    disk: KeptProfile['disks'][number] | undefined;
    rest: Omit<KeptProfile, 'version'>;
  } {
    const key = computingKey(this.#options);
    const { folder } = this.#options.store;
    const isFresh = ({ at }: { readonly at: number }): boolean => at <= this.#now() && this.#now() - at < KEPT_MS;
    const found = computing.find((each) => each.key === key);
    const formats = Object.entries(found?.formats ?? {}).filter(([, format]) => isFresh(format));
    const engine = found?.engine !== undefined && isFresh(found.engine) ? { engine: found.engine } : {};
    return {
      own: { key, formats: Object.fromEntries(formats), ...engine },
      disk: disks.find((each) => each.key === folder && isFresh(each)),
      rest: {
        computing: computing.filter((each) => each.key !== key),
        disks: disks.filter((each) => each.key !== folder),
      },
    };
  }
}

/** What computing depends on; a home may be copied to another computer. */
export function computingKey({
  backend,
  threads,
  version,
}: Pick<DeviceProfilerOptions, 'backend' | 'threads' | 'version'>): string {
  const instructions = backend === 'native' ? (nativeTargets()[0] ?? '') : '';
  return [version, backend, instructions, `${threads} threads`, cpus()[0]?.model ?? ''].join(', ').slice(0, 1024);
}
