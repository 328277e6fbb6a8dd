import { StarlingError, toStarlingError } from '../../../daemon/errors.ts';
import type { DeviceProfile, LinkProfile } from '../../../daemon/profile/device-profile.ts';
import type { DeviceProfiler } from '../../../daemon/profile/device-profiler.ts';
import type { TileShape } from '../../../daemon/tile/tile.ts';
import type { WeightFormat } from '../../../kernels/formats.ts';
import type { ClusterProgress } from '../cluster.ts';
import type { RemoteRank } from '../remote-rank.ts';

/** What is measured of a device that is reached over the network. */
export type Measurable = Pick<RemoteRank, 'name' | 'measure' | 'measureLink'>;

export interface MeasureDevicesOptions<R extends Measurable> {
  readonly ranks: readonly R[];
  /** Of this computer. */
  readonly profiler: Pick<DeviceProfiler, 'profile'>;
  readonly formats: readonly WeightFormat[];
  readonly onProgress?: (progress: ClusterProgress) => void;
  readonly signal?: AbortSignal;
}

export interface MeasuredDevices<R> {
  /** Of this computer. */
  readonly own: DeviceProfile;
  readonly devices: readonly { readonly rank: R; readonly profile: DeviceProfile; readonly link: LinkProfile }[];
  /** Those that could not be measured; their errors name them. */
  readonly failed: readonly { readonly rank: R; readonly error: StarlingError }[];
}

/** Formats of the weights in tiles. */
export const weightFormats = (tiles: readonly TileShape[]): WeightFormat[] => [
  ...new Set(tiles.flatMap(({ matrices }) => matrices.map(({ format }) => format))),
];

/**
 * Learns what all devices can do, side by side, and then, while none of them is at work, what the links to them can, one
 * after the other. Devices stay kept from others until they are loaded, unloaded or let go.
 * @throws StarlingError as DeviceProfiler.profile for this computer; cancelled by the signal
 */
export async function measureDevices<R extends Measurable>(
  options: MeasureDevicesOptions<R>,
): Promise<MeasuredDevices<R>> {
  const { ranks, profiler, formats, signal } = options;
  const tell = progressOf(options);
  const failed: { rank: R; error: StarlingError }[] = [];
  const attempt = async <T>(rank: R, measure: () => Promise<T>): Promise<T | null> => {
    try {
      return await measure();
    } catch (thrown) {
      if (signal?.aborted) throw new StarlingError('cancelled', 'stopped while devices were measured');
      const { code, message } = toStarlingError(thrown);
      const error = new StarlingError(code, `device ${rank.name} could not be measured: ${message}`, { cause: thrown });
      failed.push({ rank, error });
      return null;
    }
  };
  const profiling = ranks.map((rank) => attempt(rank, () => rank.measure(formats, tell.of())));
  const ofOwn = { onProgress: tell.of(), ...(signal === undefined ? {} : { signal }) };
  const ofThis = profiler.profile(formats, ofOwn);
  // What is under way would disturb what comes next.
  await Promise.allSettled([ofThis, ...profiling]);
  const own = await ofThis;
  const devices: { rank: R; profile: DeviceProfile; link: LinkProfile }[] = [];
  const ofLinks = tell.of();
  for (const [i, rank] of ranks.entries()) {
    ofLinks(i, ranks.length);
    const profile = await profiling[i]!;
    const link = profile === null ? null : await attempt(rank, () => rank.measureLink());
    if (profile !== null && link !== null) devices.push({ rank, profile, link });
  }
  ofLinks(ranks.length, ranks.length);
  return { own, devices, failed };
}

/** Tells of what all that measure have done together; each tells of its own. */
function progressOf({ onProgress }: Pick<MeasureDevicesOptions<Measurable>, 'onProgress'>): {
  of(): (done: number, total: number) => void;
} {
  const parts: { done: number; total: number }[] = [];
  return {
    of() {
      const part = { done: 0, total: 0 };
      parts.push(part);
      return (done, total) => {
        Object.assign(part, { done, total });
        const sum = (of: (each: typeof part) => number): number => parts.reduce((all, each) => all + of(each), 0);
        onProgress?.({ stage: 'measuring', done: sum((each) => each.done), total: sum((each) => each.total) });
      };
    },
  };
}
