import type { DeviceProfile, LinkProfile, Rates } from '../../../daemon/profile/device-profile.ts';
import { WEIGHT_FORMATS, type WeightFormat } from '../../../kernels/formats.ts';

/** A device as a plan is made from it. */
export interface PlannedDevice {
  readonly id: string;
  readonly name: string;
  readonly backend: string;
  readonly threads: number;
  readonly profile: DeviceProfile;
  /** Null for the serving device. */
  readonly link: LinkProfile | null;
  /** False for a device that computes the head at most, as its memory is another coordinator's. */
  readonly computesLayers: boolean;
  /** Bytes of its engine's memory that are the caller's own. */
  readonly scratchBytes: number;
}

/** What a device is taken to do in a millisecond where nothing was measured: a core that reads 10 GB/s. */
const NOMINAL: Rates = { lone: 10e6, all: 10e6, wide: 0.6e6 };
/** A home's network. */
const NOMINAL_LINK: LinkProfile = { roundTripMs: 0.3, jitterMs: 0.1, bytesPerMs: 110e3 };

/**
 * A device that was not measured, of a cluster whose devices are taken to be equal: those that a command starts on this
 * machine to try one.
 */
export function nominalDevice(
  device: Omit<PlannedDevice, 'profile' | 'link'> & { readonly memory: DeviceProfile['memory'] },
  isServing: boolean,
): PlannedDevice {
  const { memory, ...rest } = device;
  const names = Object.keys(WEIGHT_FORMATS) as WeightFormat[];
  const formats = Object.fromEntries(names.map((name) => [name, NOMINAL]));
  const profile = { formats, attention: NOMINAL, phaseMs: 0.02, disk: 1e6, readingMs: 0, memory };
  return { ...rest, profile, link: isServing ? null : NOMINAL_LINK };
}
