import type { OpenChannel } from '../daemon/protocol/channel.ts';
import { nativeChannels } from '../daemon/protocol/native-channel.ts';
import { openJsChannel } from '../daemon/protocol/open-channel.ts';
import type { PhaseOfStep } from '../daemon/protocol/star-codec.ts';

/** How the star of a bench reads and writes its links. */
export const CHANNEL_NAMES = ['native', 'js'] as const;
export type ChannelName = (typeof CHANNEL_NAMES)[number];

/** What each process of a star is told. */
export interface StarWork {
  readonly channel: ChannelName;
  /** For which the device, or the centre, is busy in a round. */
  readonly computeMs: number;
  /** Of the session, in hexadecimal. */
  readonly secret: string;
}

export interface StarDeviceTask extends StarWork {
  /** Packed sums of an answer. */
  readonly backBytes: number;
}

export interface StarCentreTask extends StarWork {
  readonly ports: readonly number[];
  /** Of an input. */
  readonly outBytes: number;
  readonly rounds: number;
}

export const SESSION = 'bench';
export const PHASE_OF_BENCH: PhaseOfStep = { step: 1, layer: 0, phase: 1, rows: { first: 0, count: 1 } };

/** @throws Error when there are no native channels here */
export function channelNamed(name: ChannelName): OpenChannel {
  const open = name === 'native' ? nativeChannels() : openJsChannel;
  if (open === null) throw new Error('native channels are not built here');
  return open;
}

/**
 * Takes as long as kernels would, without kernels.
 * @param rest what the thread does meanwhile, again and again: devices that share a core let each other have it
 */
export function compute(ms: number, rest: () => void = () => {}): void {
  for (const end = performance.now() + ms; performance.now() < end; ) rest();
}
