import { MAX_ROWS } from '../../../daemon/engine/engine-spec.ts';
import { bindingConstraint, type Constraint, type ConstraintTimes } from '../accounting.ts';
import type { DeviceMemory } from './device-memory.ts';
import { type Pass, phaseTime } from './pass-cost.ts';
import { type PhaseWork, usedPart } from './phase-work.ts';
import type { PlannedDevice } from './planned-device.ts';
import type { Division } from './shares.ts';

/** The prompt whose time is predicted, in tokens, and after which a token's is. */
export const EXAMPLE_PROMPT = 1000;

/** What a device would take for a token, in milliseconds: less than the token does where it waits for others. */
export interface DevicePrediction {
  readonly id: string;
  readonly name: string;
  readonly memory: DeviceMemory;
  readonly computeMs: number;
  readonly diskMs: number;
  readonly networkMs: number;
}

export interface Prediction {
  /** Milliseconds of a step that gives each user a token. */
  readonly tokenMs: number;
  /** Milliseconds of the example prompt, or of one as long as the context where that is shorter. */
  readonly promptMs: number;
  readonly promptTokens: number;
  /** What takes most of a token's time, of whom the others wait for. */
  readonly binding: Constraint;
  readonly devices: readonly DevicePrediction[];
}

/** What users are to be served with. */
export interface Load {
  /** Whose texts are decoded at a time. */
  readonly users: number;
  /** Positions. */
  readonly context: number;
}

/**
 * What a division of the tiles would take.
 * @param memories of each device
 */
export function predict(
  works: readonly PhaseWork[],
  devices: readonly PlannedDevice[],
  division: Division,
  memories: readonly DeviceMemory[],
  load: Load,
): Prediction {
  const token = passTime(works, devices, division, memories, tokenPass(load));
  const chunk = passTime(layersOf(works), devices, division, memories, promptPass(load));
  return {
    tokenMs: token.ms,
    promptMs: promptTime(chunk.ms, load),
    promptTokens: promptLength(load),
    binding: bindingConstraint(token.critical),
    devices: devices.map(({ id, name }, d) => ({ id, name, memory: memories[d]!, ...token.devices[d]! })),
  };
}

const promptLength = ({ context }: Load): number => Math.min(EXAMPLE_PROMPT, context);

/** Of a prompt only the last row goes through the head, which is little beside all others through the layers. */
export const layersOf = (works: readonly PhaseWork[]): PhaseWork[] => works.filter(({ kind }) => kind !== 'head');

/** Milliseconds of the example prompt. @param ms of a step of its rows */
export const promptTime = (ms: number, load: Load): number => ms * Math.max(1, promptLength(load) / MAX_ROWS);

/** A step of a prompt's rows, in its middle. */
export const promptPass = (load: Load): Pass => ({
  rows: Math.min(promptLength(load), MAX_ROWS),
  positions: promptLength(load) / 2,
  isPrompt: true,
});

/** A step that gives each user a token, after the example prompt. */
export const tokenPass = (load: Load): Pass => ({
  rows: Math.min(load.users, MAX_ROWS),
  positions: promptLength(load),
  isPrompt: false,
});

interface PassTime {
  readonly ms: number;
  readonly critical: ConstraintTimes;
  readonly devices: readonly { computeMs: number; diskMs: number; networkMs: number }[];
}

/**
 * Tiles are read ahead while others compute and sums travel: so a pass takes as long as the slower of both. Reading takes
 * of the cores that compute, too.
 */
function passTime(
  works: readonly PhaseWork[],
  devices: readonly PlannedDevice[],
  division: Division,
  memories: readonly DeviceMemory[],
  pass: Pass,
): PassTime {
  const totals = devices.map(() => ({ computeMs: 0, diskMs: 0, networkMs: 0 }));
  const critical = { compute: 0, disk: 0, network: 0 };
  const known = new Map<string, ReturnType<typeof phaseTime>>();
  let ms = 0;
  for (const [p, work] of works.entries()) {
    const counts = division[p]!;
    const key = `${work.like}/${counts.join()}`;
    const time = known.get(key) ?? phaseTime(devices, work, counts, pass);
    known.set(key, time);
    ms += time.ms;
    let slowest = 0;
    for (const [d, total] of totals.entries()) {
      total.computeMs += time.computeMs[d]!;
      total.networkMs += time.networkMs[d]!;
      if (time.computeMs[d]! + time.networkMs[d]! > time.computeMs[slowest]! + time.networkMs[slowest]!) slowest = d;
    }
    // What the serving device does besides its tiles is for the others, where there are any.
    const computing = time.networkMs.some((each) => each > 0) ? time.computeMs[slowest]! : time.ms;
    critical.compute += computing;
    critical.network += time.ms - computing;
  }
  let longest = 0;
  for (const [d, memory] of memories.entries()) {
    const reading = readingOf(works, memory, pass, devices[d]!);
    totals[d]!.diskMs = reading.diskMs;
    longest = Math.max(longest, reading.diskMs, reading.coreMs === 0 ? 0 : ms + reading.coreMs);
  }
  critical.disk = Math.max(0, longest - ms);
  return {
    ms: Math.max(ms, longest),
    critical: longest > ms ? { compute: 0, disk: longest, network: 0 } : critical,
    devices: totals,
  };
}

/**
 * What reading takes of a pass: milliseconds in which the disk gives all of it, and by which the cores are kept from
 * computing.
 */
export function readingOf(
  works: readonly PhaseWork[],
  { streamedBytes, streamedExpertBytes }: Pick<DeviceMemory, 'streamedBytes' | 'streamedExpertBytes'>,
  { rows }: Pass,
  { profile, threads }: PlannedDevice,
): { diskMs: number; coreMs: number } {
  const mixtures = streamedExpertBytes === 0 ? [] : works.filter(({ routed }) => routed !== null);
  const used = Math.max(0, ...mixtures.map((work) => usedPart(work, rows)));
  const bytes = streamedBytes + used * streamedExpertBytes;
  return { diskMs: bytes / profile.disk, coreMs: (bytes * profile.readingMs) / threads };
}
