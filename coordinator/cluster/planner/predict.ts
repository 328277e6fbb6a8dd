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
  const promptTokens = Math.min(EXAMPLE_PROMPT, load.context);
  const token = passTime(works, devices, division, memories, tokenPass(load));
  const chunks = Math.max(1, promptTokens / MAX_ROWS);
  // Its last row alone goes through the head, which is little beside all others through the layers.
  const layers = works.filter(({ kind }) => kind !== 'head');
  const chunk = passTime(layers, devices, division, memories, promptPass(promptTokens));
  return {
    tokenMs: token.ms,
    promptMs: chunk.ms * chunks,
    promptTokens,
    binding: bindingConstraint(token.critical),
    devices: devices.map(({ id, name }, d) => ({ id, name, memory: memories[d]!, ...token.devices[d]! })),
  };
}

/** A step of a prompt's rows, in its middle. */
const promptPass = (tokens: number): Pass => ({
  rows: Math.min(tokens, MAX_ROWS),
  positions: tokens / 2,
  isPrompt: true,
});

/** A step that gives each user a token, after the example prompt. */
export const tokenPass = ({ users, context }: Load): Pass => ({
  rows: Math.min(users, MAX_ROWS),
  positions: Math.min(EXAMPLE_PROMPT, context),
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
    critical.compute += time.computeMs[slowest]!;
    critical.network += time.ms - time.computeMs[slowest]!;
  }
  const used = Math.max(0, ...works.filter(({ routed }) => routed !== null).map((work) => usedPart(work, pass.rows)));
  let longest = 0;
  for (const [d, { streamedBytes, streamedExpertBytes }] of memories.entries()) {
    const { profile, threads } = devices[d]!;
    const read = streamedBytes + used * streamedExpertBytes;
    const total = totals[d]!;
    total.diskMs = read / profile.disk;
    const busyMs = read === 0 ? 0 : total.computeMs + (read * profile.readingMs) / threads;
    longest = Math.max(longest, total.diskMs, busyMs);
  }
  critical.disk = Math.max(0, longest - ms);
  return {
    ms: Math.max(ms, longest),
    critical: longest > ms ? { compute: 0, disk: longest, network: 0 } : critical,
    devices: totals,
  };
}
